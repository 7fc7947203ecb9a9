#define GROUP @GROUP@ /* pictures that share the weights of large matrix products */
#define MOST_DOTS @MOST_DOTS@ /* columns of a matrix that count as few */

/* Rows, `right` apart, times a matrix that has few columns. A row's result does not depend on
   `count`: numbers are added in the same order. */
INLINE void dots(const int count, const int outputs, const float *in, int right, int run,
    const float *weight, int wide, const float *bias, float *out, int next, int relu)
{
    const int part = run / 4, row = VECTORS(outputs) * LANES, apart = count * row;
    float sums[4 * GROUP * VECTORS(MOST_DOTS) * LANES] ALIGNED;
    if (count == 1) {
        dot(outputs, in, run, weight, wide, bias, out, relu);
        return;
    }
    for (int q = 0; q < 4; q++)
        line(count, outputs, in + q * part, right, 0, 1, q < 3 ? part : run - 3 * part,
             weight + q * part * wide, wide, q ? 0 : bias, sums + q * apart, row, 0);
    for (int i = 0; i < count; i++)
        for (int v = 0; v < row; v += LANES) {
            const float *s = sums + i * row + v;
            const vec sum = (load(s) + load(s + apart))
                          + (load(s + 2 * apart) + load(s + 3 * apart));
            put(out + i * next + v, sum, relu);
        }
}
