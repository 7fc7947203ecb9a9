/* ---- 3 x 3 convolutions with fewer multiplications ------------------------------------------
   F(2x2, 3x3) of A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks" (2016):
   a 4 x 4 piece of the input gives 2 x 2 results with 16 multiplications instead of 36, and the
   largest of the four is all that is kept. */

/* One piece, a vector of its channels: B' x B. */
INLINE void spread(const float *in, int row, int next, float *out, int apart)
{
#define PIXEL(y, x) load(in + (y) * row + (x) * next)
#define ACROSS(y) \
    const vec a##y##0 = PIXEL(y, 0) - PIXEL(y, 2), a##y##1 = PIXEL(y, 1) + PIXEL(y, 2); \
    const vec a##y##2 = PIXEL(y, 2) - PIXEL(y, 1), a##y##3 = PIXEL(y, 1) - PIXEL(y, 3);
    ACROSS(0) ACROSS(1) ACROSS(2) ACROSS(3)
#define ALONG(x) \
    store(out + (0 + x) * apart, a0##x - a2##x); \
    store(out + (4 + x) * apart, a1##x + a2##x); \
    store(out + (8 + x) * apart, a2##x - a1##x); \
    store(out + (12 + x) * apart, a1##x - a3##x);
    ALONG(0) ALONG(1) ALONG(2) ALONG(3)
}

/* The largest of A' m A. */
INLINE vec gather(const float *in, int apart)
{
#define PRODUCT(y, x) load(in + (4 * (y) + (x)) * apart)
#define BACK(y) \
    const vec r##y##0 = PRODUCT(y, 0) + PRODUCT(y, 1) + PRODUCT(y, 2); \
    const vec r##y##1 = PRODUCT(y, 1) - PRODUCT(y, 2) - PRODUCT(y, 3);
    BACK(0) BACK(1) BACK(2) BACK(3)
    return larger(larger(r00 + r10 + r20, r10 - r20 - r30),
                  larger(r01 + r11 + r21, r11 - r21 - r31));
}

/* `height` x `width` results, each the largest of 2 x 2, whose pieces lie 2 x `right` apart.
   `pieces` holds 16 x count x depth numbers, `products` 16 x count x wide. */
INLINE void winograd(const int height, const int width, const int depth, const int outputs,
    const float *in, int row, const float *weight, int wide, const float *bias,
    float *out, int out_row, int next, int relu, float *pieces, float *products)
{
    const int count = height * width;
    for (int t = 0; t < count; t++) {
        const float *from = in + t / width * 2 * row + t % width * 2 * depth;
        int c = 0;
        for (; c + LANES < depth; c += LANES)
            spread(from + c, row, depth, pieces + t * depth + c, count * depth);
        c = depth - LANES; /* the last vector overlaps the one before it */
        spread(from + c, row, depth, pieces + t * depth + c, count * depth);
    }
    for (int k = 0; k < 16; k++)
        line(count, outputs, pieces + k * count * depth, depth, 0, 1, depth,
             weight + k * depth * wide, wide, 0, products + k * count * wide, wide, 0);
    for (int v = (VECTORS(outputs) - 1) * LANES; v >= 0; v -= LANES)
        for (int t = 0; t < count; t++) {
            const vec sum = gather(products + t * wide + v, count * wide) + load(bias + v);
            store(out + t / width * out_row + t % width * next + v, finish(sum, relu));
        }
}
