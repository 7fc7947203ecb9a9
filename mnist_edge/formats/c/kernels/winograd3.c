/* ---- 3 x 3 convolutions with still fewer multiplications --------------------------------------
   F(3x3, 3x3), likewise: a 5 x 5 piece of the input gives 3 x 3 results with 25 multiplications
   instead of 81. The interpolation points are 0, 1, -1, 2 and infinity. */

#define SPREAD3(v, d0, d1, d2, d3, d4) \
    const vec v##3 = d3 - d1, v##0 = 2.0f * (d0 - d2) + v##3, v##4 = d4 - d2 - 2.0f * v##3; \
    const vec v##1 = d3 - d2 - 2.0f * d1, v##2 = d3 - 3.0f * d2 + 2.0f * d1;
#define GATHER3(y, m0, m1, m2, m3, m4) \
    const vec y##s = m1 + m2, y##0 = m0 + y##s + m3; \
    const vec y##1 = m1 - m2 + 2.0f * m3, y##2 = y##s + 4.0f * m3 + m4;

/* One piece, a vector of its channels. */
INLINE void spread3(const float *in, int row, int next, float *out, int apart)
{
#define ACROSS3(y) \
    const vec d##y##0 = load(in + y * row), d##y##1 = load(in + y * row + next); \
    const vec d##y##2 = load(in + y * row + 2 * next), d##y##3 = load(in + y * row + 3 * next); \
    const vec d##y##4 = load(in + y * row + 4 * next); \
    SPREAD3(a##y, d##y##0, d##y##1, d##y##2, d##y##3, d##y##4)
    ACROSS3(0) ACROSS3(1) ACROSS3(2) ACROSS3(3) ACROSS3(4)
#define ALONG3(x) { \
    SPREAD3(b, a0##x, a1##x, a2##x, a3##x, a4##x) \
    store(out + x * apart, b0); \
    store(out + (5 + x) * apart, b1); \
    store(out + (10 + x) * apart, b2); \
    store(out + (15 + x) * apart, b3); \
    store(out + (20 + x) * apart, b4); }
    ALONG3(0) ALONG3(1) ALONG3(2) ALONG3(3) ALONG3(4)
}

/* The results of one piece, a vector of their channels; without a bias they are not the end. */
INLINE void gather3(const float *in, int apart, const float *bias, int relu,
    float *out, int row, int next)
{
#define END3(c) (bias ? finish(c + load(bias), relu) : c)
#define BACK3(y) \
    GATHER3(r##y, load(in + 5 * y * apart), load(in + (5 * y + 1) * apart), \
            load(in + (5 * y + 2) * apart), load(in + (5 * y + 3) * apart), \
            load(in + (5 * y + 4) * apart))
    BACK3(0) BACK3(1) BACK3(2) BACK3(3) BACK3(4)
#define DOWN3(x) { \
    GATHER3(c, r0##x, r1##x, r2##x, r3##x, r4##x) \
    store(out + x * next, END3(c0)); \
    store(out + row + x * next, END3(c1)); \
    store(out + 2 * row + x * next, END3(c2)); }
    DOWN3(0) DOWN3(1) DOWN3(2)
}

/* `height` x `width` results, multiples of 3. `pieces` holds 25 x count x depth numbers, `products`
   25 x count x wide. With `results`, of 9 x count x wide, what is put is the largest of each 2 x 2
   of them; without, `outputs` fill their vectors. */
INLINE void winograd3(const int height, const int width, const int depth, const int outputs,
    const float *in, int row, const float *weight, int wide, const float *bias, float *out,
    int out_row, int next, int relu, float *pieces, float *products, float *results)
{
    const int across = width / 3, count = height / 3 * across, line_size = width * wide;
    for (int t = 0; t < count; t++) {
        const float *from = in + t / across * 3 * row + t % across * 3 * depth;
        int c = 0;
        for (; c + LANES < depth; c += LANES)
            spread3(from + c, row, depth, pieces + t * depth + c, count * depth);
        c = depth - LANES; /* the last vector overlaps the one before it */
        spread3(from + c, row, depth, pieces + t * depth + c, count * depth);
    }
    for (int k = 0; k < 25; k++)
        line(count, outputs, pieces + k * count * depth, depth, 0, 1, depth,
             weight + k * depth * wide, wide, 0, products + k * count * wide, wide, 0);
    for (int t = 0; t < count; t++)
        for (int v = 0; v < VECTORS(outputs) * LANES; v += LANES)
            if (results)
                gather3(products + t * wide + v, count * wide, 0, 0,
                        results + t / across * 3 * line_size + t % across * 3 * wide + v,
                        line_size, wide);
            else
                gather3(products + t * wide + v, count * wide, bias + v, relu,
                        out + t / across * 3 * out_row + t % across * 3 * next + v, out_row, next);
    if (!results)
        return;
    for (int v = (VECTORS(outputs) - 1) * LANES; v >= 0; v -= LANES)
        for (int y = 0; y < height / 2; y++)
            for (int x = 0; x < width / 2; x++) {
                const float *from = results + 2 * y * line_size + 2 * x * wide + v;
                const vec best = larger(
                    larger(load(from), load(from + wide)),
                    larger(load(from + line_size), load(from + line_size + wide)));
                store(out + y * out_row + x * next + v, finish(best + load(bias + v), relu));
            }
}
