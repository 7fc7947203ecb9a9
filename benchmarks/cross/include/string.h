/* All of <string.h> that the generated C needs, for compilers that come without a C library. */
#include <stddef.h>

void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
