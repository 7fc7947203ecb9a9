/* ---- The net ------------------------------------------------------------------------------- */

/* From a picture to what the last matrix products read; `slot` says where that goes. */
static void body(const float *picture, @number@ *workspace, int slot)
{
    (void)slot;
@body@
}

/* The last matrix products, for several pictures at once, so that weights are read once for all. */
INLINE void head(const int count, @number@ *workspace, float *logits)
{
@head@
    for (int i = 0; i < count; i++)
@answers@
}

void @name@_logits(const float *pictures, int count, float *logits, float *workspace)
{
    /* Vectors that cross no line of the cache are faster; the workspace has room for the step. */
    workspace += (64 - (uintptr_t)workspace % 64) % 64 / sizeof *workspace;
@borders@
    while (count > 0) {
        const int group = @choice@;
        for (int i = 0; i < group; i++)
            body(pictures + i * @NAME@_PICTURE, @cast@workspace, i);
        if (group == 1)
            head(1, @cast@workspace, logits);
        else
            head(@group@, @cast@workspace, logits);
        pictures += group * @NAME@_PICTURE;
        logits += group * @NAME@_CLASSES;
        count -= group;
    }
}

static int largest(const float *logits)
{
    int best = 0;
    for (int i = 1; i < @NAME@_CLASSES; i++)
        best = logits[i] > logits[best] ? i : best;
    return best;
}

int @name@_class(const float *picture, float *workspace)
{
    float logits[@NAME@_CLASSES];
    @name@_logits(picture, 1, logits, workspace);
    return largest(logits);
}

/* e to the power of x, x <= 0, to a few units of the last place; it spares the library of C. */
static float power(float x)
{
    const int whole = (int)(x * 1.44269504f - 0.5f);
    const float rest = x - (float)whole * 0.693145752f - (float)whole * 1.42860677e-6f;
    const uint32_t bits = (uint32_t)(whole + 127) << 23;
    float two, sum = 1.0f;
    if (x < -80.0f)
        return 0.0f;
    COPY(&two, &bits, sizeof two);
    for (int i = 7; i > 0; i--)
        sum = 1.0f + sum * rest / (float)i;
    return sum * two;
}

int @name@_predict(const float *picture, float *workspace)
{
    float logits[@NAME@_CLASSES], sum = 0.0f;
    int best;
    @name@_logits(picture, 1, logits, workspace);
    best = largest(logits);
    for (int i = 0; i < @NAME@_CLASSES; i++)
        sum += power((logits[i] - logits[best]) / @NAME@_TEMPERATURE);
    return 1.0f < @NAME@_CONFIDENCE * sum ? -1 : best;
}
@names@