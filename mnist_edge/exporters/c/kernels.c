/* ---- Kernels ------------------------------------------------------------------------------
   Every function below is inlined where all sizes are constants, so what is not needed of it
   vanishes. Activations have their channels innermost. A vector that reaches over the last
   channel writes zeros there, for its weights are zeros; what lies there is written later. */

#define GROUP @GROUP@ /* pictures that share the weights of large matrix products */
#define MOST_DOTS @MOST_DOTS@ /* columns of a matrix that count as few */
#define EACH_PIXEL(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8)

/* Some pixels, at most 9, times some vectors of output channels, at most 4. All sums stay in
   registers: each step loads one row of weights and multiplies it by one number of each pixel.
   `pixels` lie side by side, `right` apart, or as 2 x 2 of which the largest is kept. */
INLINE void tile(const int pixels, const int vectors, const int pooled,
    const float *in, int right, int down, int row, int rows, int run,
    const float *weight, int wide, const float *bias, float *out, int next, int relu)
{
    const vec zero = {0};
    const vec b0 = bias ? load(bias) : zero;
    const vec b1 = bias && vectors > 1 ? load(bias + LANES) : zero;
    const vec b2 = bias && vectors > 2 ? load(bias + 2 * LANES) : zero;
    const vec b3 = bias && vectors > 3 ? load(bias + 3 * LANES) : zero;
#define BEGIN(p) \
    const int at##p = pooled ? p % 2 * right + p / 2 % 2 * down : fewer(p, pixels - 1) * right; \
    const float *x##p = in + at##p; \
    vec s##p##0 = b0, s##p##1 = b1, s##p##2 = b2, s##p##3 = b3;
    EACH_PIXEL(BEGIN)
    for (int y = 0; y < rows; y++) {
        for (int j = y * row; j < y * row + run; j++) {
            vec w0 = load(weight);
            vec w1 = vectors > 1 ? load(weight + LANES) : zero;
            vec w2 = vectors > 2 ? load(weight + 2 * LANES) : zero;
            vec w3 = vectors > 3 ? load(weight + 3 * LANES) : zero;
            if (pixels > 1) {
                KEEP(w0);
                if (vectors > 1) KEEP(w1);
                if (vectors > 2) KEEP(w2);
                if (vectors > 3) KEEP(w3);
            }
#define STEP(p) \
            if (p < pixels) { \
                s##p##0 += x##p[j] * w0; \
                if (vectors > 1) s##p##1 += x##p[j] * w1; \
                if (vectors > 2) s##p##2 += x##p[j] * w2; \
                if (vectors > 3) s##p##3 += x##p[j] * w3; \
            }
            EACH_PIXEL(STEP)
            weight += wide;
        }
    }
    if (pooled) {
#define LARGEST(v) finish(larger(larger(s0##v, s1##v), larger(s2##v, s3##v)), relu)
        store(out, LARGEST(0));
        if (vectors > 1) store(out + LANES, LARGEST(1));
        if (vectors > 2) store(out + 2 * LANES, LARGEST(2));
        if (vectors > 3) store(out + 3 * LANES, LARGEST(3));
        return;
    }
#define END(p) \
    if (p < pixels) { \
        store(out + p * next, finish(s##p##0, relu)); \
        if (vectors > 1) store(out + p * next + LANES, finish(s##p##1, relu)); \
        if (vectors > 2) store(out + p * next + 2 * LANES, finish(s##p##2, relu)); \
        if (vectors > 3) store(out + p * next + 3 * LANES, finish(s##p##3, relu)); \
    }
    EACH_PIXEL(END)
}

/* Pixels side by side, as many at once as registers hold. */
INLINE void tiles(const int count, const int vectors,
    const float *in, int right, int row, int rows, int run,
    const float *weight, int wide, const float *bias, float *out, int next, int relu)
{
    const int most = fewer(9, (REGISTERS - 1 - vectors) / vectors);
    const int parts = (count + most - 1) / most, each = (count + parts - 1) / parts;
    int done = 0;
    for (; done < each * (parts - 1); done += each)
        tile(each, vectors, 0, in + done * right, right, 0, row, rows, run,
             weight, wide, bias, out + done * next, next, relu);
    tile(count - each * (parts - 1), vectors, 0, in + done * right, right, 0, row, rows, run,
         weight, wide, bias, out + done * next, next, relu);
}

/* Pixels side by side and all output channels; the last channels first, see above. */
INLINE void line(const int count, const int outputs,
    const float *in, int right, int row, int rows, int run,
    const float *weight, int wide, const float *bias, float *out, int next, int relu)
{
    const int vectors = VECTORS(outputs), most = count == 1 ? 4 : REGISTERS < 32 ? 2 : count < 7 ? 4 : 3;
    const int parts = (vectors + most - 1) / most, each = (vectors + parts - 1) / parts;
    int v = each * (parts - 1);
    tiles(count, vectors - v, in, right, row, rows, run, weight + v * LANES, wide,
          bias ? bias + v * LANES : bias, out + v * LANES, next, relu);
    for (v -= each; v >= 0; v -= each)
        tiles(count, each, in, right, row, rows, run, weight + v * LANES, wide,
              bias ? bias + v * LANES : bias, out + v * LANES, next, relu);
}

/* A row of results, each the largest of 2 x 2; likewise. */
INLINE void pooled_line(const int count, const int outputs,
    const float *in, int right, int down, int row, int rows, int run,
    const float *weight, int wide, const float *bias, float *out, int next, int relu)
{
    const int vectors = VECTORS(outputs), most = REGISTERS < 32 ? 2 : 4;
    const int parts = (vectors + most - 1) / most, each = (vectors + parts - 1) / parts;
    int v = each * (parts - 1);
    for (int x = 0; x < count; x++)
        tile(4, vectors - v, 1, in + 2 * x * right, right, down, row, rows, run,
             weight + v * LANES, wide, bias + v * LANES, out + x * next + v * LANES, 0, relu);
    for (v -= each; v >= 0; v -= each)
        for (int x = 0; x < count; x++)
            tile(4, each, 1, in + 2 * x * right, right, down, row, rows, run,
                 weight + v * LANES, wide, bias + v * LANES, out + x * next + v * LANES, 0, relu);
}

/* Rows, `right` apart, times a matrix that has few columns. One sum for each would have to wait
   for itself, so the rows are cut into four parts. A row's result does not depend on `count`. */
INLINE void dots(const int count, const int outputs, const float *in, int right, int run,
    const float *weight, int wide, const float *bias, float *out, int next, int relu)
{
    const int part = run / 4, rest = run - 3 * part;
    const vec zero = {0};
    if (count == 1) {
        for (int v = 0; v < VECTORS(outputs); v++) {
            const float *w = weight + v * LANES;
            vec a = load(bias + v * LANES), b = zero, c = zero, d = zero;
            int j = 0;
            for (; j < part; j++, w += wide) {
                a += in[j] * load(w);
                b += in[part + j] * load(w + part * wide);
                c += in[2 * part + j] * load(w + 2 * part * wide);
                d += in[3 * part + j] * load(w + 3 * part * wide);
            }
            for (; j < rest; j++, w += wide)
                d += in[3 * part + j] * load(w + 3 * part * wide);
            store(out + v * LANES, finish((a + b) + (c + d), relu));
        }
    } else {
        float sums[4 * GROUP * VECTORS(MOST_DOTS) * LANES] ALIGNED;
        const int row = VECTORS(outputs) * LANES, apart = count * row;
        for (int q = 0; q < 4; q++)
            line(count, outputs, in + q * part, right, 0, 1, q < 3 ? part : rest,
                 weight + q * part * wide, wide, q ? 0 : bias, sums + q * apart, row, 0);
        for (int i = 0; i < count; i++)
            for (int v = 0; v < row; v += LANES) {
                const float *s = sums + i * row + v;
                const vec sum = (load(s) + load(s + apart))
                              + (load(s + 2 * apart) + load(s + 3 * apart));
                store(out + i * next + v, finish(sum, relu));
            }
    }
}
