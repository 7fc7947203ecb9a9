// Reads pictures of 28 by 28 bytes from the serial port, and prints their digits.
// They are @picture@.
#include <@name@.h>

static unsigned char pixels[@NAME@_PICTURE];
@memory@

void setup() {
  Serial.begin(115200);
}

void loop() {
  if (Serial.readBytes((char *)pixels, sizeof pixels) != sizeof pixels)
    return;
@answer@
}
