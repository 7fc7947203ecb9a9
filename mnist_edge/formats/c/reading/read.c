/* ---- From a picture to an answer ------------------------------------------------------------- */

enum { READINGS = 2 * DIGIT_PIXELS };

size_t @name@_read_bytes(int width, int height, int channels)
{
    const size_t net = sizeof(float) * (@NAME@_PICTURE + @NAME@_WORKSPACE) + 16;
    const size_t reading = prepare_bytes(width, height, channels);
    return reading ? READINGS + greater(reading, net) : 0;
}

static float sum_of(const float *logits, int best, float temperature)
{
    float sum = 0.0f;
    for (int i = 0; i < @NAME@_CLASSES; i++)
        sum += power((logits[i] - logits[best]) / temperature);
    return sum;
}

int @name@_read(const unsigned char *pixels, int width, int height, int channels, void *memory,
    size_t bytes, float *probability)
{
    byte *readings = (byte *)memory, *rest = readings + READINGS;
    float logits[@NAME@_CLASSES], surest = 0.0f;
    int answer = @NAME@_NO_DIGIT, count;
    if (probability)
        *probability = 0.0f;
    if (!pixels || !memory || is_bad(width, height, channels))
        return BAD_ARGUMENT;
    if (bytes < @name@_read_bytes(width, height, channels))
        return NO_MEMORY;
    count = prepare(pixels, width, height, channels, readings, rest, bytes - READINGS);
    for (int i = 0; i < count; i++) { /* of two the surer counts */
        float *picture = (float *)(rest + (-(uintptr_t)rest & 15)), *workspace;
        float certainty;
        int best;
        workspace = picture + @NAME@_PICTURE;
        for (int k = 0; k < DIGIT_PIXELS; k++)
            picture[k] = readings[i * DIGIT_PIXELS + k] / 255.0f;
        @name@_logits(picture, 1, logits, workspace);
        best = largest(logits);
        certainty = 1.0f / sum_of(logits, best, 1.0f);
        if (certainty <= surest)
            continue;
        surest = certainty;
        answer = sum_of(logits, best, @NAME@_TEMPERATURE) * @NAME@_CONFIDENCE > 1.0f
            ? @NAME@_NO_DIGIT : best;
    }
    if (probability)
        *probability = surest;
    return count < 0 ? count : answer;
}
