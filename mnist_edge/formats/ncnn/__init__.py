"""ncnn, for phones and small boards: a `.param` file with the layers, a `.bin` with the weights."""
