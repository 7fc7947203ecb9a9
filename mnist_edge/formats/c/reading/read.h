
/* ---- Pictures ----
   What is left out to save memory, when this is compiled: -DREAD_CANVAS for a drawing, white and
   black and nothing else; -DREAD_CAMERA for a small grey frame; or one by one -DREAD_GREY (colour
   and opacity), -DREAD_ONE_LIGHT (uneven light), -DREAD_ONE_LOOK (the closer look at digits that
   are small on a large picture), -DREAD_NO_LINES (lines of the paper), -DREAD_NO_FAINT (strokes
   that fade). */
#include <stddef.h>

#define @name@_read_bytes @name@_read_bytes_@sizes@
#define @name@_read @name@_read_@sizes@

/* What may come in place of a class: nothing like a digit; a null pointer, or a size below 1, or
   other than 1, 3 or 4 channels; less than 5 pixels across; too little memory; a line of pixels. */
enum {
    @NAME@_NO_DIGIT = -1,
    @NAME@_BAD_ARGUMENT = -2,
    @NAME@_TOO_SMALL = -3,
    @NAME@_NO_MEMORY = -4,
    @NAME@_NO_PAGE = -5
};

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of memory that reading a picture takes, the net's workspace included; 0 where it can be
   none, and reading it says why. */
size_t @name@_read_bytes(int width, int height, int channels);

/* The class of the one digit on a picture as it comes: rows of grey (1), RGB (3) or RGBA (4)
   bytes, of any size, dark on bright or bright on dark. `memory` serves one call at a time.
   `probability`, of the class that is nearest, may be NULL. */
int @name@_read(const unsigned char *pixels, int width, int height, int channels, void *memory,
    size_t bytes, float *probability);

#ifdef __cplusplus
}
#endif
