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

int @name@_class(const float *picture, float *workspace)
{
    float logits[@NAME@_CLASSES];
    int best = 0;
    @name@_logits(picture, 1, logits, workspace);
    for (int i = 1; i < @NAME@_CLASSES; i++)
        best = logits[i] > logits[best] ? i : best;
    return best;
}
