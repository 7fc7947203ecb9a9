#ifdef MNIST_EDGE_SELFTEST
/* ---- Self-test: digits whose scores are known ------------------------------------------------ */

#include <stdio.h>
#include <time.h>

#define GOLDEN @count@

static const unsigned char golden_pictures[GOLDEN * @NAME@_PICTURE] = {
@pictures@
};
@logits@

int main(void)
{
    static float pictures[GOLDEN * @NAME@_PICTURE], logits[GOLDEN * @NAME@_CLASSES];
    static float workspace[@NAME@_WORKSPACE];
    float worst = 0.0f;
    clock_t start, spent;
    int passed, runs = 0;
    for (int i = 0; i < GOLDEN * @NAME@_PICTURE; i++)
        pictures[i] = (float)golden_pictures[i] / 255.0f;
    @name@_logits(pictures, GOLDEN, logits, workspace);
    for (int i = 0; i < GOLDEN * @NAME@_CLASSES; i++) {
        const float error = logits[i] - golden_logits[i];
        worst = error > worst ? error : -error > worst ? -error : worst;
        if (!(error == error))
            worst = 1.0f; /* no number */
    }
    passed = worst <= @tolerance@f;
    start = clock();
    do {
        for (int i = 0; i < GOLDEN; i++, runs++)
            @name@_logits(pictures + i * @NAME@_PICTURE, 1, logits, workspace);
        spent = clock() - start;
    } while (spent < CLOCKS_PER_SEC / 10);
    printf("%s: %d golden digits, largest error %.2g; %.2f us a picture\n",
           passed ? "pass" : "FAIL", GOLDEN, (double)worst,
           1e6 * (double)spent / CLOCKS_PER_SEC / runs);
    return passed ? 0 : 1;
}
#endif
