/* ---- A net as data ---------------------------------------------------------------------------
   A head, its steps, then its constants: so one WebAssembly, built beforehand, runs every net.
   Places are counted in numbers of the workspace, those of constants in bytes of the net. */

enum { FILL_STEP, LINE, POOLED_LINE, DOT, POOL, SCALE, COPY_STEP, ADD, DEPTHWISE, SPACE, TO_BYTES };

typedef struct {
    int32_t kind, relu, channels, height, width; /* of the result */
    int32_t in, in_row, in_next, in_apart; /* from row to row, pixel to pixel, channel to channel */
    int32_t row, rows, run, columns, stride_y, stride_x, top, left;
    int32_t in_height, in_width, choice, other, other_row;
    int32_t weight, wide, bias, factor, zero;
    int32_t out, out_row, out_next;
} step_of_net;

typedef struct {
    int32_t steps, workspace, result, classes, scale, zero;
} head_of_net;

#define PICTURE 784
