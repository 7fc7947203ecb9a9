#ifndef @NAME@_H
#define @NAME@_H

/* Sizes in numbers, not in bytes. A picture has its rows one after the other, white on black,
   each pixel 0 to 1. A workspace serves one call at a time; it need not be initialised. */
#define @NAME@_PICTURE @picture@
#define @NAME@_CLASSES @classes@
#define @NAME@_WORKSPACE @workspace@

/* What gets a smaller probability, its scores divided by the temperature, is like no digit. */
#define @NAME@_CONFIDENCE @confidence@
#define @NAME@_TEMPERATURE @temperature@

/* The sizes are part of the names that a linker sees: a header does not link with another net. */
#define @name@_logits @name@_logits_@sizes@
#define @name@_class @name@_class_@sizes@
#define @name@_predict @name@_predict_@sizes@

#ifdef __cplusplus
extern "C" {
#endif

/* The class scores of `count` pictures, one row of @NAME@_CLASSES after the other. */
void @name@_logits(const float *pictures, int count, float *logits, float *workspace);

/* The class with the highest score. */
int @name@_class(const float *picture, float *workspace);

/* That class, or -1 where it is like no digit: see @NAME@_CONFIDENCE. */
int @name@_predict(const float *picture, float *workspace);
@labels@
#ifdef __cplusplus
}
#endif

#endif
