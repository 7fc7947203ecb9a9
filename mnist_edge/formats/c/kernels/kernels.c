/* ---- Kernels ------------------------------------------------------------------------------
   Every function below is inlined where all sizes are constants, so what is not needed of it
   vanishes. Activations have their channels innermost. A vector that reaches over the last
   channel writes there what stands for zero, for its weights are zeros; what lies there is
   written later, or a border. */

#define EACH_PIXEL(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8)

/* Some pixels, at most 9, times some vectors of output channels, at most 4. All sums stay in
   registers: each step loads one row of weights and multiplies it by one input of each pixel.
   `pixels` lie side by side, `right` apart, or as 2 x 2 of which the largest is kept. */
INLINE void tile(const int pixels, const int first, const int vectors, const int pooled,
    const number *in, int right, int down, int row, int rows, int run,
    const weighting *weight, int wide, const offset *bias, number *out, int next, ending end)
{
    const vec zero = {0};
    weight += first * TOGETHER * LANES;
    bias = bias ? bias + first * LANES : bias;
    out += first * LANES;
    end = later(end, first * LANES);
    const vec b0 = bias ? load(bias) : zero;
    const vec b1 = bias && vectors > 1 ? load(bias + LANES) : zero;
    const vec b2 = bias && vectors > 2 ? load(bias + 2 * LANES) : zero;
    const vec b3 = bias && vectors > 3 ? load(bias + 3 * LANES) : zero;
#define BEGIN(p) \
    const int at##p = pooled ? p % 2 * right + p / 2 % 2 * down : fewer(p, pixels - 1) * right; \
    const number *x##p = in + at##p; \
    vec s##p##0 = b0, s##p##1 = b1, s##p##2 = b2, s##p##3 = b3;
    EACH_PIXEL(BEGIN)
    for (int y = 0; y < rows; y++) {
        for (int j = y * row; j < y * row + run; j += TOGETHER) {
            if (right < run) AGAIN();
            weights w0 = weigh(weight);
            weights w1 = vectors > 1 ? weigh(weight + TOGETHER * LANES) : w0;
            weights w2 = vectors > 2 ? weigh(weight + 2 * TOGETHER * LANES) : w0;
            weights w3 = vectors > 3 ? weigh(weight + 3 * TOGETHER * LANES) : w0;
            if (pixels > 1) {
                KEEP(w0);
                if (vectors > 1) KEEP(w1);
                if (vectors > 2) KEEP(w2);
                if (vectors > 3) KEEP(w3);
            }
#define STEP(p) \
            if (p < pixels) { \
                const inputs x = take(x##p + j); \
                s##p##0 = step(s##p##0, x, w0); \
                if (vectors > 1) s##p##1 = step(s##p##1, x, w1); \
                if (vectors > 2) s##p##2 = step(s##p##2, x, w2); \
                if (vectors > 3) s##p##3 = step(s##p##3, x, w3); \
            }
            EACH_PIXEL(STEP)
            weight += TOGETHER * wide;
        }
    }
    if (pooled) {
#define LARGEST(v) larger(larger(s0##v, s1##v), larger(s2##v, s3##v))
        put(out, LARGEST(0), end);
        if (vectors > 1) put(out + LANES, LARGEST(1), later(end, LANES));
        if (vectors > 2) put(out + 2 * LANES, LARGEST(2), later(end, 2 * LANES));
        if (vectors > 3) put(out + 3 * LANES, LARGEST(3), later(end, 3 * LANES));
        return;
    }
#define END(p) \
    if (p < pixels) { \
        put(out + p * next, s##p##0, end); \
        if (vectors > 1) put(out + p * next + LANES, s##p##1, later(end, LANES)); \
        if (vectors > 2) put(out + p * next + 2 * LANES, s##p##2, later(end, 2 * LANES)); \
        if (vectors > 3) put(out + p * next + 3 * LANES, s##p##3, later(end, 3 * LANES)); \
    }
    EACH_PIXEL(END)
}

/* Pixels side by side, as many at once as registers hold. */
INLINE void tiles(const int count, const int first, const int vectors,
    const number *in, int right, int row, int rows, int run,
    const weighting *weight, int wide, const offset *bias, number *out, int next, ending end)
{
    const int most = fewer(9, (REGISTERS - 1 - vectors) / vectors);
    const int parts = (count + most - 1) / most, each = (count + parts - 1) / parts;
    int done = 0;
    for (; done < each * (parts - 1); done += each)
        tile(each, first, vectors, 0, in + done * right, right, 0, row, rows, run,
             weight, wide, bias, out + done * next, next, end);
    tile(count - each * (parts - 1), first, vectors, 0, in + done * right, right, 0, row, rows, run,
         weight, wide, bias, out + done * next, next, end);
}

/* Pixels side by side and all output channels; the last channels first, see above. */
INLINE void line(const int count, const int outputs,
    const number *in, int right, int row, int rows, int run,
    const weighting *weight, int wide, const offset *bias, number *out, int next, ending end)
{
    const int vectors = VECTORS(outputs), most = count == 1 ? 4 : REGISTERS < 32 ? 2 : count < 7 ? 4 : 3;
    const int parts = (vectors + most - 1) / most, each = (vectors + parts - 1) / parts;
    int v = each * (parts - 1);
    tiles(count, v, vectors - v, in, right, row, rows, run, weight, wide, bias, out, next, end);
    for (v -= each; v >= 0; v -= each)
        tiles(count, v, each, in, right, row, rows, run, weight, wide, bias, out, next, end);
}

/* A row of results, each the largest of 2 x 2; likewise. */
INLINE void pooled_line(const int count, const int outputs,
    const number *in, int right, int down, int row, int rows, int run,
    const weighting *weight, int wide, const offset *bias, number *out, int next, ending end)
{
    const int vectors = VECTORS(outputs);
    const int most = REGISTERS < 32 ? 2 + vectors % 2 : 4; /* one alone would wait for its sums */
    const int parts = (vectors + most - 1) / most, each = (vectors + parts - 1) / parts;
    int v = each * (parts - 1);
    for (int x = 0; x < count; x++)
        tile(4, v, vectors - v, 1, in + 2 * x * right, right, down, row, rows, run,
             weight, wide, bias, out + x * next, 0, end);
    for (v -= each; v >= 0; v -= each)
        for (int x = 0; x < count; x++)
            tile(4, v, each, 1, in + 2 * x * right, right, down, row, rows, run,
                 weight, wide, bias, out + x * next, 0, end);
}

/* A row times a matrix. One sum for each column would have to wait for itself, so the row is cut
   into four parts. */
INLINE void dot(const int outputs, const number *in, int run,
    const weighting *weight, int wide, const offset *bias, number *out, ending end)
{
    const int part = run / (4 * TOGETHER) * TOGETHER, rest = run - 3 * part;
    const vec zero = {0};
    for (int v = 0; v < VECTORS(outputs); v++) {
        const weighting *w = weight + v * TOGETHER * LANES;
        vec a = load(bias + v * LANES), b = zero, c = zero, d = zero;
        int j = 0;
        for (; j < part; j += TOGETHER, w += TOGETHER * wide) {
            a = step(a, take(in + j), weigh(w));
            b = step(b, take(in + part + j), weigh(w + part * wide));
            c = step(c, take(in + 2 * part + j), weigh(w + 2 * part * wide));
            d = step(d, take(in + 3 * part + j), weigh(w + 3 * part * wide));
        }
        for (; j < rest; j += TOGETHER, w += TOGETHER * wide)
            d = step(d, take(in + 3 * part + j), weigh(w + 3 * part * wide));
        put(out + v * LANES, (a + b) + (c + d), later(end, v * LANES));
    }
}
