#if WINOGRAD
/* ---- 3 x 3 convolutions with fewer multiplications ------------------------------------------
   F(2x2, 3x3) of A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks" (2016):
   a 4 x 4 piece of the input gives 2 x 2 results with 16 multiplications instead of 36, and the
   largest of the four is all that is kept. */

/* One piece, a vector of its channels: B' x B. */
INLINE void spread(const number *in, int row, int next, term *out, int apart)
{
#define PIXEL(y, x) spreadable(in + (y) * row + (x) * next)
#define ACROSS(y) \
    const terms a##y##0 = PIXEL(y, 0) - PIXEL(y, 2), a##y##1 = PIXEL(y, 1) + PIXEL(y, 2); \
    const terms a##y##2 = PIXEL(y, 2) - PIXEL(y, 1), a##y##3 = PIXEL(y, 1) - PIXEL(y, 3);
    ACROSS(0) ACROSS(1) ACROSS(2) ACROSS(3)
#define ALONG(x) \
    keep_terms(out + (0 + x) * apart, a0##x - a2##x); \
    keep_terms(out + (4 + x) * apart, a1##x + a2##x); \
    keep_terms(out + (8 + x) * apart, a2##x - a1##x); \
    keep_terms(out + (12 + x) * apart, a1##x - a3##x);
    ALONG(0) ALONG(1) ALONG(2) ALONG(3)
}

/* The largest of A' m A. */
INLINE vec gather(const tally *in, int apart)
{
#define PRODUCT(y, x) gatherable(in + (4 * (y) + (x)) * apart)
#define BACK(y) \
    const tallies r##y##0 = PRODUCT(y, 0) + PRODUCT(y, 1) + PRODUCT(y, 2); \
    const tallies r##y##1 = PRODUCT(y, 1) - PRODUCT(y, 2) - PRODUCT(y, 3);
    BACK(0) BACK(1) BACK(2) BACK(3)
    return larger(larger((vec)(r00 + r10 + r20), (vec)(r10 - r20 - r30)),
                  larger((vec)(r01 + r11 + r21), (vec)(r11 - r21 - r31)));
}

/* `height` x `width` results, each the largest of 2 x 2, whose pieces lie 2 x `right` apart.
   `pieces` holds 16 x count x depth numbers, `products` 16 x count x wide. */
INLINE void winograd(const int height, const int width, const int depth, const int outputs,
    const number *in, int row, const term *weight, int wide, const offset *bias,
    number *out, int out_row, int next, ending end, term *pieces, tally *products)
{
    const int count = height * width;
    for (int t = 0; t < count; t++) {
        const number *from = in + t / width * 2 * row + t % width * 2 * depth;
        int c = 0;
        for (; c + TERMS < depth; c += TERMS)
            spread(from + c, row, depth, pieces + t * depth + c, count * depth);
        c = depth - TERMS; /* the last vector overlaps the one before it */
        spread(from + c, row, depth, pieces + t * depth + c, count * depth);
    }
    for (int k = 0; k < 16; k++)
        multiply(count, outputs, pieces + k * count * depth, depth, 0, 1, depth,
                 weight + k * depth * wide, wide, products + k * count * wide);
    for (int v = (VECTORS(outputs) - 1) * LANES; v >= 0; v -= LANES)
        for (int t = 0; t < count; t++) {
            const vec best = gather(products + t * wide + v, count * wide);
            put(out + t / width * out_row + t % width * next + v, FOURTHS(best) + load(bias + v),
                later(end, v));
        }
}
#endif
