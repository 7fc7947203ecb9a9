/* The same as digits.c on a Cortex-M4 without a C library: the start, the two functions that
   compilers call, and files through Arm's semihosting, which the emulator offers. */
#include <stdint.h>
#include <string.h>
#include "model.h"

#define OPEN 0x01
#define CLOSE 0x02
#define WRITE 0x05
#define READ 0x06
#define EXIT 0x18
#define READ_BINARY 1
#define WRITE_BINARY 5
#define APPLICATION_EXIT ((const uint32_t *)0x20026)
#define COPROCESSORS (*(volatile uint32_t *)0xE000ED88)

extern uint32_t bss_start[], bss_end[], stack_top[];

void *memcpy(void *to, const void *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((char *)to)[i] = ((const char *)from)[i];
    return to;
}

void *memset(void *to, int value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((char *)to)[i] = (char)value;
    return to;
}

static uint32_t ask(uint32_t operation, const uint32_t *block)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const uint32_t *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uint32_t open(const char *name, uint32_t size, uint32_t mode)
{
    const uint32_t block[] = {(uint32_t)name, mode, size};
    return ask(OPEN, block);
}

/* Whether all bytes were moved. */
static int move(uint32_t operation, uint32_t file, void *bytes, uint32_t size)
{
    const uint32_t block[] = {file, (uint32_t)bytes, size};
    return ask(operation, block) == 0;
}

static __attribute__((noinline)) void run(void)
{
    static float picture[PICTURE], logits[CLASSES], workspace[WORKSPACE];
    const uint32_t from = open("pictures", 8, READ_BINARY), to = open("logits", 6, WRITE_BINARY);
    while (move(READ, from, picture, sizeof picture)) {
        LOGITS(picture, 1, logits, workspace);
        move(WRITE, to, logits, sizeof logits);
    }
    ask(CLOSE, &to);
    ask(EXIT, APPLICATION_EXIT);
}

void reset(void)
{
    COPROCESSORS |= 0xF00000; /* both halves of the floating-point unit, before its first use */
    __asm__ volatile("dsb\n\tisb");
    memset(bss_start, 0, (size_t)((char *)bss_end - (char *)bss_start));
    run();
    for (;;)
        ;
}

static const struct {
    uint32_t *stack;
    void (*reset)(void);
} vectors __attribute__((section(".vectors"), used)) = {stack_top, reset};
