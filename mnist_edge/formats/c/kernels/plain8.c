/* ---- Plain steps --------------------------------------------------------------------------- */

/* Rows, `right` apart, times a matrix that has few columns. */
INLINE void dots(const int count, const int outputs, const uint8_t *in, int right, int run,
    const int8_t *weight, int wide, const int32_t *bias, uint8_t *out, int next, ending end)
{
    if (count == 1)
        dot(outputs, in, run, weight, wide, bias, out, end);
    else
        line(count, outputs, in, right, 0, 1, run, weight, wide, bias, out, next, end);
}

/* Numbers to bytes: (number - shift) / unit, rounded as above. */
INLINE void to_bytes(const int height, const int width, const float *in, int in_row,
    float shift, float unit, uint8_t *out, int out_row, int zero)
{
    for (int y = 0; y < height; y++)
        for (int v = 0; v < VECTORS(width); v++) {
            /* the last vector overlaps the one before it */
            const int x = fewer(v * LANES, width - LANES);
            const reals numbers = (load_reals(in + y * in_row + x) - shift) / unit;
            put_reals(out + y * out_row + x, numbers, zero, 0);
        }
}

/* The largest of each window. */
INLINE void pool(const int channels, int in_height, int in_width, const uint8_t *in, int in_row,
    int rows, int columns, int stride_y, int stride_x, int top, int left,
    int height, int width, uint8_t *out, int out_row)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++) {
                uint8_t best = 0;
                for (int v = y * stride_y - top; v < y * stride_y - top + rows; v++)
                    for (int u = x * stride_x - left; u < x * stride_x - left + columns; u++)
                        if (v >= 0 && v < in_height && u >= 0 && u < in_width) {
                            const uint8_t number = in[v * in_row + u * channels + c];
                            best = number > best ? number : best;
                        }
                out[y * out_row + x * channels + c] = best;
            }
}
