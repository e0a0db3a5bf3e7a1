/* Instructions that do nothing, by which a program tells count.c what it begins and ends. */
#pragma once

#define MARK_BEGIN     1
#define MARK_END       2
#define MARK_OPERATION 3

/* nopl KIND << 24 | 0x4b484d(%rax); the byte behind these is the kind. */
#define MARK_BYTES 0x0f, 0x1f, 0x80, 0x4d, 0x48, 0x4b

#define MARK_TEXT_(...) #__VA_ARGS__
#define MARK_TEXT(...)  MARK_TEXT_(__VA_ARGS__)
#define MARK(kind)      __asm__ volatile(".byte " MARK_TEXT(MARK_BYTES) ", %c0" ::"i"(kind) : "memory")
