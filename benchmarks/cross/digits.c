/* The digits of the file `pictures` one by one, their class scores into the file `logits`. */
#include <stdio.h>
#include "model.h"

int main(void)
{
    static float picture[PICTURE], logits[CLASSES], workspace[WORKSPACE];
    FILE *from = fopen("pictures", "rb"), *to = fopen("logits", "wb");
    if (!from || !to)
        return 1;
    while (fread(picture, sizeof picture, 1, from) == 1) {
        LOGITS(picture, 1, logits, workspace);
        fwrite(logits, sizeof logits, 1, to);
    }
    return fclose(to) ? 1 : 0;
}
