#if WINOGRAD
/* ---- 3 x 3 convolutions with still fewer multiplications --------------------------------------
   F(3x3, 3x3), likewise: a 5 x 5 piece of the input gives 3 x 3 results with 25 multiplications
   instead of 81. The interpolation points are 0, 1, -1, 2 and infinity. */

#define SPREAD3(v, d0, d1, d2, d3, d4) \
    const terms v##3 = d3 - d1, v##0 = 2 * (d0 - d2) + v##3, v##4 = d4 - d2 - 2 * v##3; \
    const terms v##1 = d3 - d2 - 2 * d1, v##2 = d3 - 3 * d2 + 2 * d1;
#define GATHER3(y, m0, m1, m2, m3, m4) \
    const tallies y##s = m1 + m2, y##0 = m0 + y##s + m3; \
    const tallies y##1 = m1 - m2 + 2 * m3, y##2 = y##s + 4 * m3 + m4;

/* One piece, a vector of its channels. */
INLINE void spread3(const number *in, int row, int next, term *out, int apart)
{
#define PIXEL3(y, x) spreadable(in + (y) * row + (x) * next)
#define ACROSS3(y) \
    const terms d##y##0 = PIXEL3(y, 0), d##y##1 = PIXEL3(y, 1), d##y##2 = PIXEL3(y, 2); \
    const terms d##y##3 = PIXEL3(y, 3), d##y##4 = PIXEL3(y, 4); \
    SPREAD3(a##y, d##y##0, d##y##1, d##y##2, d##y##3, d##y##4)
    ACROSS3(0) ACROSS3(1) ACROSS3(2) ACROSS3(3) ACROSS3(4)
#define ALONG3(x) { \
    SPREAD3(b, a0##x, a1##x, a2##x, a3##x, a4##x) \
    keep_terms(out + x * apart, b0); \
    keep_terms(out + (5 + x) * apart, b1); \
    keep_terms(out + (10 + x) * apart, b2); \
    keep_terms(out + (15 + x) * apart, b3); \
    keep_terms(out + (20 + x) * apart, b4); }
    ALONG3(0) ALONG3(1) ALONG3(2) ALONG3(3) ALONG3(4)
}

/* The results of one piece, a vector of their channels. Those that the largest is found of are kept
   as they are; of others this is the end. */
INLINE void gather3(const tally *in, int apart, const offset *bias, ending end,
    number *out, tally *results, int row, int next)
{
#define END3(at, c) \
    if (results) \
        keep_tallies(results + at, c); \
    else \
        put(out + at, THIRTY_SIXTHS(c) + load(bias), end);
#define PRODUCT3(y, x) gatherable(in + (5 * (y) + (x)) * apart)
#define BACK3(y) \
    GATHER3(r##y, PRODUCT3(y, 0), PRODUCT3(y, 1), PRODUCT3(y, 2), PRODUCT3(y, 3), PRODUCT3(y, 4))
    BACK3(0) BACK3(1) BACK3(2) BACK3(3) BACK3(4)
#define DOWN3(x) { \
    GATHER3(c, r0##x, r1##x, r2##x, r3##x, r4##x) \
    END3(x * next, c0) \
    END3(row + x * next, c1) \
    END3(2 * row + x * next, c2) }
    DOWN3(0) DOWN3(1) DOWN3(2)
}

/* `height` x `width` results, multiples of 3. `pieces` holds 25 x count x depth numbers, `products`
   25 x count x wide. With `results`, of 9 x count x wide, what is put is the largest of each 2 x 2
   of them; without, `outputs` fill their vectors. */
INLINE void winograd3(const int height, const int width, const int depth, const int outputs,
    const number *in, int row, const term *weight, int wide, const offset *bias, number *out,
    int out_row, int next, ending end, term *pieces, tally *products, tally *results)
{
    const int across = width / 3, count = height / 3 * across, line_size = width * wide;
    for (int t = 0; t < count; t++) {
        const number *from = in + t / across * 3 * row + t % across * 3 * depth;
        int c = 0;
        for (; c + TERMS < depth; c += TERMS)
            spread3(from + c, row, depth, pieces + t * depth + c, count * depth);
        c = depth - TERMS; /* the last vector overlaps the one before it */
        spread3(from + c, row, depth, pieces + t * depth + c, count * depth);
    }
    for (int k = 0; k < 25; k++)
        multiply(count, outputs, pieces + k * count * depth, depth, 0, 1, depth,
                 weight + k * depth * wide, wide, products + k * count * wide);
    for (int t = 0; t < count; t++)
        for (int v = 0; v < VECTORS(outputs) * LANES; v += LANES)
            if (results)
                gather3(products + t * wide + v, count * wide, bias, end, out,
                        results + t / across * 3 * line_size + t % across * 3 * wide + v,
                        line_size, wide);
            else
                gather3(products + t * wide + v, count * wide, bias + v, later(end, v),
                        out + t / across * 3 * out_row + t % across * 3 * next + v, 0, out_row,
                        next);
    if (!results)
        return;
    for (int v = (VECTORS(outputs) - 1) * LANES; v >= 0; v -= LANES)
        for (int y = 0; y < height / 2; y++)
            for (int x = 0; x < width / 2; x++) {
                const tally *from = results + 2 * y * line_size + 2 * x * wide + v;
#define RESULT(at) (vec)gatherable(from + (at))
                const vec best = larger(larger(RESULT(0), RESULT(wide)),
                                        larger(RESULT(line_size), RESULT(line_size + wide)));
                put(out + y * out_row + x * next + v, THIRTY_SIXTHS(best) + load(bias + v),
                    later(end, v));
            }
}
#endif
