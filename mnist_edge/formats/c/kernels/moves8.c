/* ---- Steps that move bytes, or change each by itself ---------------------------------------- */

/* x in units of the result, to the nearest byte; see put_reals. */
INLINE uint8_t to_byte(float x, int zero, int relu)
{
    const float low = (float)-(relu ? 0 : zero), high = (float)(255 - zero);
    int32_t same;
    x = (x < low ? low : x > high ? high : x) + 12582912.0f;
    COPY(&same, &x, sizeof same);
    return (uint8_t)(same - 0x4B400000 + zero);
}

/* Each byte from where a table says, and as what another one says. */
INLINE void move(const int height, const int run, const uint8_t *in, const uint16_t *from,
    const uint8_t *as, uint8_t *out, int out_row)
{
    for (int y = 0; y < height; y++)
        for (int i = 0; i < run; i++)
            out[y * out_row + i] = as[in[from[y * run + i]]];
}

/* Bytes as a table says; channels may leave room for others beside them. */
INLINE void translate(const int channels, int height, int width, const uint8_t *in, int in_row,
    const uint8_t *as, uint8_t *out, int out_row, int out_next)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++)
                out[y * out_row + x * out_next + c] = as[in[y * in_row + x * channels + c]];
}

INLINE void surround(const int height, const int run, int byte, uint8_t *out, int out_row)
{
    for (int y = 0; y < height; y++)
        FILL(out + y * out_row, byte, (size_t)run);
}

/* Between four neighbours: two rows and two columns for each, and the share of the second. */
INLINE void resize(const int channels, int height, int width, const uint8_t *in, int in_row,
    const uint16_t *rows, const float *lower, const uint16_t *columns, const float *right,
    const float *numbers, float unit, int zero, uint8_t *out, int out_row)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++) {
                const uint8_t *a = in + rows[2 * y] * in_row + c;
                const uint8_t *b = in + rows[2 * y + 1] * in_row + c;
                const int l = columns[2 * x] * channels, r = columns[2 * x + 1] * channels;
                const float al = numbers[a[l]], bl = numbers[b[l]];
                const float above = al + (numbers[a[r]] - al) * right[x];
                const float below = bl + (numbers[b[r]] - bl) * right[x];
                out[y * out_row + x * channels + c] =
                    to_byte((above + (below - above) * lower[y]) / unit, zero, 0);
            }
}

/* Sums of what two tables say. */
INLINE void add(const int channels, int height, int width, const uint8_t *a, int a_row,
    const uint8_t *b, int b_row, const float *as, const float *bs, float unit, int zero,
    uint8_t *out, int out_row, int relu)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width * channels; x++)
            out[y * out_row + x] =
                to_byte((as[a[y * a_row + x]] + bs[b[y * b_row + x]]) / unit, zero, relu);
}

/* The mean of what a table says in each window; `whole` divides by the window where it is cut,
   too. */
INLINE void mean(const int channels, int in_height, int in_width, const uint8_t *in, int in_row,
    int rows, int columns, int stride_y, int stride_x, int top, int left, int whole,
    const float *numbers, float unit, int zero, int height, int width, uint8_t *out, int out_row,
    int relu)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++) {
                float sum = 0.0f;
                int seen = 0;
                for (int v = y * stride_y - top; v < y * stride_y - top + rows; v++)
                    for (int u = x * stride_x - left; u < x * stride_x - left + columns; u++)
                        if (v >= 0 && v < in_height && u >= 0 && u < in_width) {
                            sum += numbers[in[v * in_row + u * channels + c]];
                            seen++;
                        }
                out[y * out_row + x * channels + c] = to_byte(
                    sum / (float)(whole ? rows * columns : seen) / unit, zero, relu);
            }
}

/* A convolution in which each channel sees only itself. Weights: [row][column][channel]. */
INLINE void depthwise(const int channels, int height, int width, const uint8_t *in, int in_row,
    int rows, int columns, int stride_y, int stride_x, const int8_t *weight, const int32_t *bias,
    const float *factor, int zero, uint8_t *out, int out_row, int relu)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++) {
                int32_t sum = bias[c];
                for (int k = 0; k < rows * columns; k++)
                    sum += in[(y * stride_y + k / columns) * in_row
                              + (x * stride_x + k % columns) * channels + c]
                           * weight[k * channels + c];
                out[y * out_row + x * channels + c] = to_byte((float)sum * factor[c], zero, relu);
            }
}

INLINE void space_to_depth(const int channels, int block, int height, int width,
    const uint8_t *in, int in_row, uint8_t *out, int out_row)
{
    for (int y = 0; y < height * block; y++)
        for (int x = 0; x < width * block; x++)
            COPY(out + y / block * out_row + x / block * channels * block * block
                       + (y % block * block + x % block) * channels,
                   in + y * in_row + x * channels, (size_t)channels);
}
