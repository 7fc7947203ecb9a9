/* ---- Kernels three strides wide with fewer multiplications -----------------------------------
   F(2, 3) of S. Winograd along each row: two neighbouring results take 4 multiplications for 6.
   With d0 ... d3 the stretches of a row, one stride long, that both read, they are sums of
   (d0 - d2) g0, (d1 + d2) (g0 + g1 + g2) / 2, (d2 - d1) (g0 - g1 + g2) / 2 and (d1 - d3) g2. */

/* Differences and sums of a row, `size` of each; `step` is the length of a stretch. */
INLINE void slide(const float *in, int step, const int size, float *out)
{
    int c = 0;
    for (; c < size; c += LANES) {
        if (size >= LANES)
            c = fewer(c, size - LANES); /* the last vector overlaps the one before it */
        const vec a = load(in + c), b = load(in + c + step), d = load(in + c + 2 * step);
        store(out + c, a - d);
        store(out + size + c, b + d);
        store(out + 2 * size + c, d - b);
    }
}

/* The larger of two neighbouring results, from their four products. */
INLINE vec gather_row(const float *in, int apart)
{
    const vec m0 = load(in), m1 = load(in + apart), m2 = load(in + 2 * apart);
    const vec m3 = load(in + 3 * apart);
    return larger(m0 + m1 + m2, m1 - m2 - m3);
}

/* `height` x `width` results, each the largest of 2 x 2. From one result row to the next, the
   kernel moves `stride` rows down the input. `slides` holds the differences and sums of all rows
   that are read, `products` 8 x width x wide numbers. */
INLINE void convolve_rows(const int height, const int width, const int outputs,
    const float *in, int row, int rows, int stride, int step, const float *weight, int wide,
    const float *bias, float *out, int out_row, int next, int relu, float *slides, float *products)
{
    const int size = 2 * step * width, down = 3 * size * stride, apart = width * wide;
    for (int y = 0; y < (2 * height - 1) * stride + rows; y++)
        slide(in + y * row, step, size, slides + y * 3 * size);
    for (int y = 0; y < height; y++) {
        for (int k = 0; k < 8; k++) {
            const int term = k % 4, at = term < 3 ? term * size : step;
            line(width, outputs, slides + (2 * y + k / 4) * down + at, 2 * step,
                 3 * size, rows, step, weight + term * rows * step * wide, wide, 0,
                 products + k * apart, wide, 0);
        }
        for (int v = (VECTORS(outputs) - 1) * LANES; v >= 0; v -= LANES)
            for (int x = 0; x < width; x++) {
                const float *from = products + x * wide + v;
                const vec best = larger(gather_row(from, apart), gather_row(from + 4 * apart, apart));
                store(out + y * out_row + x * next + v, finish(best + load(bias + v), relu));
            }
    }
}
