/* ---- Functions of one number --------------------------------------------------------------- */

static float power(float x);

INLINE float clipped(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

INLINE float sigmoid(float x)
{
    const float less = power(x < 0.0f ? x : -x);
    return (x < 0.0f ? less : 1.0f) / (1.0f + less);
}

/* Near zero by its series: a difference of two numbers near one would have few digits. */
INLINE float tangent(float x)
{
    const float size = x < 0.0f ? -x : x, less = power(-2.0f * size), square = x * x;
    const float far = (1.0f - less) / (1.0f + less);
    if (size < 0.1f)
        return x * (1.0f - square * (0.333333333f - square * (0.133333333f - square * 0.0539682540f)));
    return x < 0.0f ? -far : far;
}

INLINE float nearest(float x)
{
    const float large = 8388608.0f, size = x < 0.0f ? -x : x;
    volatile float whole = size + large;
    whole = size < large ? whole - large : size;
    return x < 0.0f ? -whole : whole;
}

#define SIGMOID(x, a, b) sigmoid(x)
#define TANH(x, a, b) tangent(x)
#define ELU(x, a, b) ((x) < 0.0f ? (a) * (power(x) - 1.0f) : (x))
#define LEAKY(x, a, b) ((x) < 0.0f ? (a) * (x) : (x))
#define CLIP(x, a, b) clipped(x, a, b)
#define HARD_SIGMOID(x, a, b) clipped((a) * (x) + (b), 0.0f, 1.0f)
#define HARD_SWISH(x, a, b) ((x) * clipped((x) / 6.0f + 0.5f, 0.0f, 1.0f))
#define SILU(x, a, b) ((x) * sigmoid(x))
#define ROUND(x, a, b) nearest(x)

#define EACH(FUNCTION, a, b, channels, height, width, in, in_row, in_next, apart, out, out_row) \
    for (int y = 0; y < height; y++) \
        for (int x = 0; x < width; x++) \
            for (int c = 0; c < channels; c++) { \
                const float number = (in)[y * (in_row) + x * (in_next) + c * (apart)]; \
                (out)[y * (out_row) + x * (channels) + c] = FUNCTION(number, a, b); \
            }
