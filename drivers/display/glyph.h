/*
 * The shapes of characters: the loader's font (boot/font.c) for ASCII, letters of Latin-1 made of
 * those and their accents, lines and blocks drawn by rule, and some signs. Pure.
 */
#pragma once

#include "kernel/abi/types.h"

#define GLYPH_WIDTH  8u
#define GLYPH_HEIGHT 16u

/* Draws a character: a byte for each row from the top, the leftmost pixel in the highest bit. One
 * that has no shape is drawn as U+FFFD. */
void glyph_draw(u32 code, u8 rows[GLYPH_HEIGHT]);
