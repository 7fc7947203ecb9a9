/* What a page calls: where the picture goes, and its class scores. */
#include "model.h"

static float pixels[PICTURE], scores[CLASSES], workspace[WORKSPACE];

__attribute__((export_name("picture"))) float *picture(void) { return pixels; }

__attribute__((export_name("classify"))) float *classify(void)
{
    LOGITS(pixels, 1, scores, workspace);
    return scores;
}
