#if WINOGRAD
/* ---- Kernels three strides wide with fewer multiplications -----------------------------------
   F(2, 3) of S. Winograd along each row: two neighbouring results take 4 multiplications for 6.
   With d0 ... d3 the stretches of a row, one stride long, that both read, they are sums of
   (d0 - d2) g0, (d1 + d2) (g0 + g1 + g2) / 2, (d2 - d1) (g0 - g1 + g2) / 2 and (d1 - d3) g2. */

/* Differences and sums of a row, `size` of each; `step` is the length of a stretch. */
INLINE void slide(const number *in, int step, const int size, term *out)
{
    int c = 0;
    for (; c < size; c += TERMS) {
        if (size >= TERMS)
            c = fewer(c, size - TERMS); /* the last vector overlaps the one before it */
        const terms a = spreadable(in + c), b = spreadable(in + c + step);
        const terms d = spreadable(in + c + 2 * step);
        keep_terms(out + c, a - d);
        keep_terms(out + size + c, b + d);
        keep_terms(out + 2 * size + c, d - b);
    }
}

/* The larger of two neighbouring results, from their four products. */
INLINE vec gather_row(const tally *in, int apart)
{
    const tallies m0 = gatherable(in), m1 = gatherable(in + apart);
    const tallies m2 = gatherable(in + 2 * apart), m3 = gatherable(in + 3 * apart);
    return larger((vec)(m0 + m1 + m2), (vec)(m1 - m2 - m3));
}

/* `height` x `width` results, each the largest of 2 x 2. From one result row to the next, the
   kernel moves `stride` rows down the input. `slides` holds the differences and sums of all rows
   that are read, `products` 8 x width x wide numbers. */
INLINE void convolve_rows(const int height, const int width, const int outputs,
    const number *in, int row, int rows, int stride, int step, const term *weight, int wide,
    const offset *bias, number *out, int out_row, int next, ending end, term *slides,
    tally *products)
{
    const int size = 2 * step * width, down = 3 * size * stride, apart = width * wide;
    for (int y = 0; y < (2 * height - 1) * stride + rows; y++)
        slide(in + y * row, step, size, slides + y * 3 * size);
    for (int y = 0; y < height; y++) {
        for (int k = 0; k < 8; k++) {
            const int which = k % 4, at = which < 3 ? which * size : step;
            multiply(width, outputs, slides + (2 * y + k / 4) * down + at, 2 * step, 3 * size, rows,
                     step, weight + which * rows * step * wide, wide, products + k * apart);
        }
        for (int v = (VECTORS(outputs) - 1) * LANES; v >= 0; v -= LANES)
            for (int x = 0; x < width; x++) {
                const tally *from = products + x * wide + v;
                const vec best = larger(gather_row(from, apart), gather_row(from + 4 * apart, apart));
                put(out + y * out_row + x * next + v, HALVES(best) + load(bias + v), later(end, v));
            }
    }
}
#endif
