/* ---- Steps that move numbers --------------------------------------------------------------- */

/* Each number from where a table says. */
INLINE void move(const int height, const int run, const float *in, const uint16_t *from,
    float *out, int out_row)
{
    for (int y = 0; y < height; y++)
        for (int i = 0; i < run; i++)
            out[y * out_row + i] = in[from[y * run + i]];
}

/* One number all around; what lies within is copied later. */
INLINE void surround(const int height, const int run, float number, float *out, int out_row)
{
    for (int y = 0; y < height; y++)
        for (int i = 0; i < run; i++)
            out[y * out_row + i] = number;
}

/* Between four neighbours: two rows and two columns for each, and the share of the second. */
INLINE void resize(const int channels, int height, int width, const float *in, int in_row,
    int in_next, int apart, const uint16_t *rows, const float *lower, const uint16_t *columns,
    const float *right, float *out, int out_row)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++) {
                const float *a = in + rows[2 * y] * in_row + c * apart;
                const float *b = in + rows[2 * y + 1] * in_row + c * apart;
                const int l = columns[2 * x] * in_next, r = columns[2 * x + 1] * in_next;
                const float above = a[l] + (a[r] - a[l]) * right[x];
                const float below = b[l] + (b[r] - b[l]) * right[x];
                out[y * out_row + x * channels + c] = above + (below - above) * lower[y];
            }
}
