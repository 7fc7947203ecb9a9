// Reads a picture, 28x28 float32 from 0 to 1, white on black, and prints its digit.
// g++ -O3 -march=native main.cpp c-int8.o    after    cc -O3 -march=native -c c-int8.c
#include <array>
#include <iostream>
#include <vector>

#include "c-int8.h"

int main() {
    std::array<float, SMALL_INT8_PICTURE> picture;
    std::vector<float> workspace(SMALL_INT8_WORKSPACE);
    if (!std::cin.read(reinterpret_cast<char *>(picture.data()), sizeof picture)) return 1;
    const int digit = small_int8_predict(picture.data(), workspace.data());
    if (digit < 0) std::cout << "no digit\n";
    else std::cout << digit << "\n";
}
