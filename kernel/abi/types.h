/* Basic types and compile-time helpers shared by the kernel, the loader and ring 3. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int32_t s32;
typedef int64_t s64;

typedef u64 paddr_t;  /* host-physical address, bytes */
typedef u64 gpa_t;    /* guest-physical address, bytes */
typedef u64 vaddr_t;  /* host-virtual address, bytes */
typedef u64 cycles_t; /* time or duration in TSC cycles */
typedef u32 cap_t;    /* index of a capability in its domain's table */

#define ARRAY_SIZE(a)    (sizeof(a) / sizeof((a)[0]))
#define BIT(n)           (1ull << (n))
#define ALIGN_UP(x, a)   (((x) + (a)-1) & ~((u64)(a)-1))
#define ALIGN_DOWN(x, a) ((x) & ~((u64)(a)-1))
#define IS_ALIGNED(x, a) (((x) & ((u64)(a)-1)) == 0)
#define likely(x)        __builtin_expect(!!(x), 1)
#define unlikely(x)      __builtin_expect(!!(x), 0)

#define PAGE_SHIFT 12
#define PAGE_SIZE  (1ull << PAGE_SHIFT)

#ifndef static_assert
#define static_assert _Static_assert
#endif
