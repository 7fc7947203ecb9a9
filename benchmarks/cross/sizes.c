/* How much memory reading grey pictures takes, of the sizes that it is called with. */
#include <stdio.h>
#include <stdlib.h>
#include "model.h"

int main(int count, char **sizes)
{
    for (int i = 1; i + 1 < count; i += 2)
        printf("%lu\n", (unsigned long)READ_BYTES(atoi(sizes[i]), atoi(sizes[i + 1]), 1));
    return 0;
}
