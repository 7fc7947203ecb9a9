/* The digits one by one: what the benchmark times, from outside. */
#include "model.h"

void one_by_one(const float *pictures, int count, float *logits, float *workspace)
{
    for (int i = 0; i < count; i++)
        LOGITS(pictures + i * PICTURE, 1, logits + i * CLASSES, workspace);
}
