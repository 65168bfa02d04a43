//go:build !purego

#include "textflag.h"

// Salsa20/20 of six blocks at once. The state of two blocks lies in four registers, one block in
// each half, as the diagonals of the matrix of 16 words:
//
//	D0 = x0 x5 x10 x15   D1 = x4 x9 x14 x3   D2 = x8 x13 x2 x7   D3 = x12 x1 x6 x11
//
// so that the four quarter-rounds of a round are the four lanes. Blocks 0 and 1 are in Y0-Y3, 2 and
// 3 in Y4-Y7, 4 and 5 in Y8-Y11.

// STEP: b ^= (a + d) <<< r for the three pairs of blocks; s = 32 - r.
#define STEP(a0, d0, b0, a1, d1, b1, a2, d2, b2, r, s) \
	VPADDD a0, d0, Y12    \
	VPADDD a1, d1, Y13    \
	VPADDD a2, d2, Y14    \
	VPSLLD $r, Y12, Y15   \
	VPSRLD $s, Y12, Y12   \
	VPXOR  Y15, b0, b0    \
	VPXOR  Y12, b0, b0    \
	VPSLLD $r, Y13, Y15   \
	VPSRLD $s, Y13, Y13   \
	VPXOR  Y15, b1, b1    \
	VPXOR  Y13, b1, b1    \
	VPSLLD $r, Y14, Y15   \
	VPSRLD $s, Y14, Y14   \
	VPXOR  Y15, b2, b2    \
	VPXOR  Y14, b2, b2

// TURN: the lanes of three diagonals by three, two and one places to the left: D1, D2, D3 from columns
// to rows, D3, D2, D1 back.
#define TURN(a0, a1, a2, b0, b1, b2, c0, c1, c2) \
	VPSHUFD $0x93, a0, a0 \
	VPSHUFD $0x93, a1, a1 \
	VPSHUFD $0x93, a2, a2 \
	VPSHUFD $0x4e, b0, b0 \
	VPSHUFD $0x4e, b1, b1 \
	VPSHUFD $0x4e, b2, b2 \
	VPSHUFD $0x39, c0, c0 \
	VPSHUFD $0x39, c1, c1 \
	VPSHUFD $0x39, c2, c2

// OUT: add the initial state to two blocks, put their words in order and XOR them to the 128 bytes
// at off(DI). ctr is where their initial D2 is. The first four blends give
//
//	Y12 = x0 x1 x10 x11   Y13 = x8 x9 x2 x3   Y14 = x4 x5 x14 x15   Y15 = x12 x13 x6 x7
//
// and the second four the rows x0-x3, x4-x7, x8-x11, x12-x15 of both blocks.
#define OUT(d0, d1, d2, d3, ctr, off) \
	VPADDD     0(SI), d0, d0        \
	VPADDD     32(SI), d1, d1       \
	VPADDD     ctr(SI), d2, d2      \
	VPADDD     64(SI), d3, d3       \
	VPBLENDD   $0xaa, d3, d0, Y12   \
	VPBLENDD   $0xaa, d1, d2, Y13   \
	VPBLENDD   $0xaa, d0, d1, Y14   \
	VPBLENDD   $0xaa, d2, d3, Y15   \
	VPBLENDD   $0xcc, Y13, Y12, d0  \
	VPBLENDD   $0xcc, Y15, Y14, d1  \
	VPBLENDD   $0xcc, Y12, Y13, d2  \
	VPBLENDD   $0xcc, Y14, Y15, d3  \
	VPERM2I128 $0x20, d1, d0, Y12   \
	VPERM2I128 $0x20, d3, d2, Y13   \
	VPERM2I128 $0x31, d1, d0, Y14   \
	VPERM2I128 $0x31, d3, d2, Y15   \
	VPXOR      off+0(DI), Y12, Y12  \
	VPXOR      off+32(DI), Y13, Y13 \
	VPXOR      off+64(DI), Y14, Y14 \
	VPXOR      off+96(DI), Y15, Y15 \
	VMOVDQU    Y12, off+0(DI)       \
	VMOVDQU    Y13, off+32(DI)      \
	VMOVDQU    Y14, off+64(DI)      \
	VMOVDQU    Y15, off+96(DI)

// func xorSix(p *byte, n uint64, s *sixBlocks)
TEXT ·xorSix(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), DI
	MOVQ n+8(FP), CX
	MOVQ s+16(FP), SI

six:
	VMOVDQU 0(SI), Y0
	VMOVDQU 32(SI), Y1
	VMOVDQU 96(SI), Y2
	VMOVDQU 64(SI), Y3
	VMOVDQA Y0, Y4
	VMOVDQA Y1, Y5
	VMOVDQU 128(SI), Y6
	VMOVDQA Y3, Y7
	VMOVDQA Y0, Y8
	VMOVDQA Y1, Y9
	VMOVDQU 160(SI), Y10
	VMOVDQA Y3, Y11
	MOVQ    $10, AX

rounds:
	STEP(Y0, Y3, Y1, Y4, Y7, Y5, Y8, Y11, Y9, 7, 25)
	STEP(Y1, Y0, Y2, Y5, Y4, Y6, Y9, Y8, Y10, 9, 23)
	STEP(Y2, Y1, Y3, Y6, Y5, Y7, Y10, Y9, Y11, 13, 19)
	STEP(Y3, Y2, Y0, Y7, Y6, Y4, Y11, Y10, Y8, 18, 14)
	TURN(Y1, Y5, Y9, Y2, Y6, Y10, Y3, Y7, Y11)
	STEP(Y0, Y1, Y3, Y4, Y5, Y7, Y8, Y9, Y11, 7, 25)
	STEP(Y3, Y0, Y2, Y7, Y4, Y6, Y11, Y8, Y10, 9, 23)
	STEP(Y2, Y3, Y1, Y6, Y7, Y5, Y10, Y11, Y9, 13, 19)
	STEP(Y1, Y2, Y0, Y5, Y6, Y4, Y9, Y10, Y8, 18, 14)
	TURN(Y3, Y7, Y11, Y2, Y6, Y10, Y1, Y5, Y9)
	DECQ AX
	JNZ  rounds

	OUT(Y0, Y1, Y2, Y3, 96, 0)
	OUT(Y4, Y5, Y6, Y7, 128, 128)
	OUT(Y8, Y9, Y10, Y11, 160, 256)

	// The counters go on by six.
	VMOVDQU 192(SI), Y15
	VPADDD  96(SI), Y15, Y12
	VPADDD  128(SI), Y15, Y13
	VPADDD  160(SI), Y15, Y14
	VMOVDQU Y12, 96(SI)
	VMOVDQU Y13, 128(SI)
	VMOVDQU Y14, 160(SI)
	ADDQ    $384, DI
	DECQ    CX
	JNZ     six
	VZEROUPPER
	RET
