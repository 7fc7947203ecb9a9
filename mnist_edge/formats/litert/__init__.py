"""LiteRT, which was TensorFlow Lite: `.tflite` files, for phones and microcontrollers."""
