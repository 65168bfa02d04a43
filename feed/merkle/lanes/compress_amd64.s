//go:build !purego

#include "textflag.h"

// BLAKE2b of eight or four messages at once (RFC 7693, section 3.2): each vector holds the same
// word of all of them, so that a round is the reference's with vectors for words. A message block
// comes as 128 bytes at each lane's pointer and is transposed to 16 vectors.
//
// The fields of state begin at: h 0, t 512, f 576, p 640; a row is 64 bytes, of which four
// lanes use the first 32.

DATA iv<>+0(SB)/8, $0x6a09e667f3bcc908
DATA iv<>+8(SB)/8, $0xbb67ae8584caa73b
DATA iv<>+16(SB)/8, $0x3c6ef372fe94f82b
DATA iv<>+24(SB)/8, $0xa54ff53a5f1d36f1
DATA iv<>+32(SB)/8, $0x510e527fade682d1
DATA iv<>+40(SB)/8, $0x9b05688c2b3e6c1f
DATA iv<>+48(SB)/8, $0x1f83d9abfb41bd6b
DATA iv<>+56(SB)/8, $0x5be0cd19137e2179
GLOBL iv<>(SB), (NOPTR+RODATA), $64

DATA size<>+0(SB)/8, $128
GLOBL size<>(SB), (NOPTR+RODATA), $8

// For VPSHUFB: each word to the right by 24 and by 16 bits.
DATA ror24<>+0(SB)/8, $0x0201000706050403
DATA ror24<>+8(SB)/8, $0x0a09080f0e0d0c0b
DATA ror24<>+16(SB)/8, $0x0201000706050403
DATA ror24<>+24(SB)/8, $0x0a09080f0e0d0c0b
GLOBL ror24<>(SB), (NOPTR+RODATA), $32

DATA ror16<>+0(SB)/8, $0x0100070605040302
DATA ror16<>+8(SB)/8, $0x09080f0e0d0c0b0a
DATA ror16<>+16(SB)/8, $0x0100070605040302
DATA ror16<>+24(SB)/8, $0x09080f0e0d0c0b0a
GLOBL ror16<>(SB), (NOPTR+RODATA), $32

// MIX8: the function G for four columns or diagonals, with eight lanes. x and y are message words.
#define MIX8(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3, x0, y0, x1, y1, x2, y2, x3, y3) \
	VPADDQ x0, a0, a0  \
	VPADDQ x1, a1, a1  \
	VPADDQ x2, a2, a2  \
	VPADDQ x3, a3, a3  \
	VPADDQ b0, a0, a0  \
	VPADDQ b1, a1, a1  \
	VPADDQ b2, a2, a2  \
	VPADDQ b3, a3, a3  \
	VPXORQ a0, d0, d0  \
	VPXORQ a1, d1, d1  \
	VPXORQ a2, d2, d2  \
	VPXORQ a3, d3, d3  \
	VPRORQ $32, d0, d0 \
	VPRORQ $32, d1, d1 \
	VPRORQ $32, d2, d2 \
	VPRORQ $32, d3, d3 \
	VPADDQ d0, c0, c0  \
	VPADDQ d1, c1, c1  \
	VPADDQ d2, c2, c2  \
	VPADDQ d3, c3, c3  \
	VPXORQ c0, b0, b0  \
	VPXORQ c1, b1, b1  \
	VPXORQ c2, b2, b2  \
	VPXORQ c3, b3, b3  \
	VPRORQ $24, b0, b0 \
	VPRORQ $24, b1, b1 \
	VPRORQ $24, b2, b2 \
	VPRORQ $24, b3, b3 \
	VPADDQ y0, a0, a0  \
	VPADDQ y1, a1, a1  \
	VPADDQ y2, a2, a2  \
	VPADDQ y3, a3, a3  \
	VPADDQ b0, a0, a0  \
	VPADDQ b1, a1, a1  \
	VPADDQ b2, a2, a2  \
	VPADDQ b3, a3, a3  \
	VPXORQ a0, d0, d0  \
	VPXORQ a1, d1, d1  \
	VPXORQ a2, d2, d2  \
	VPXORQ a3, d3, d3  \
	VPRORQ $16, d0, d0 \
	VPRORQ $16, d1, d1 \
	VPRORQ $16, d2, d2 \
	VPRORQ $16, d3, d3 \
	VPADDQ d0, c0, c0  \
	VPADDQ d1, c1, c1  \
	VPADDQ d2, c2, c2  \
	VPADDQ d3, c3, c3  \
	VPXORQ c0, b0, b0  \
	VPXORQ c1, b1, b1  \
	VPXORQ c2, b2, b2  \
	VPXORQ c3, b3, b3  \
	VPRORQ $63, b0, b0 \
	VPRORQ $63, b1, b1 \
	VPRORQ $63, b2, b2 \
	VPRORQ $63, b3, b3

// ROUND8: columns, then diagonals.
#define ROUND8(m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15) \
	MIX8(Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15, m0, m1, m2, m3, m4, m5, m6, m7)       \
	MIX8(Z0, Z1, Z2, Z3, Z5, Z6, Z7, Z4, Z10, Z11, Z8, Z9, Z15, Z12, Z13, Z14, m8, m9, m10, m11, m12, m13, m14, m15)

// TURN8: eight words of each of eight lanes, in Z0-Z7, to eight vectors with one word of each.
#define TURN8(m0, m1, m2, m3, m4, m5, m6, m7) \
	VPUNPCKLQDQ Z1, Z0, Z8         \
	VPUNPCKHQDQ Z1, Z0, Z9         \
	VPUNPCKLQDQ Z3, Z2, Z10        \
	VPUNPCKHQDQ Z3, Z2, Z11        \
	VPUNPCKLQDQ Z5, Z4, Z12        \
	VPUNPCKHQDQ Z5, Z4, Z13        \
	VPUNPCKLQDQ Z7, Z6, Z14        \
	VPUNPCKHQDQ Z7, Z6, Z15        \
	VSHUFI64X2 $0x88, Z10, Z8, Z0  \
	VSHUFI64X2 $0xdd, Z10, Z8, Z1  \
	VSHUFI64X2 $0x88, Z14, Z12, Z2 \
	VSHUFI64X2 $0xdd, Z14, Z12, Z3 \
	VSHUFI64X2 $0x88, Z2, Z0, m0   \
	VSHUFI64X2 $0xdd, Z2, Z0, m4   \
	VSHUFI64X2 $0x88, Z3, Z1, m2   \
	VSHUFI64X2 $0xdd, Z3, Z1, m6   \
	VSHUFI64X2 $0x88, Z11, Z9, Z4  \
	VSHUFI64X2 $0xdd, Z11, Z9, Z5  \
	VSHUFI64X2 $0x88, Z15, Z13, Z6 \
	VSHUFI64X2 $0xdd, Z15, Z13, Z7 \
	VSHUFI64X2 $0x88, Z6, Z4, m1   \
	VSHUFI64X2 $0xdd, Z6, Z4, m5   \
	VSHUFI64X2 $0x88, Z7, Z5, m3   \
	VSHUFI64X2 $0xdd, Z7, Z5, m7

// LOAD8: 64 bytes of each lane.
#define LOAD8(off) \
	VMOVDQU64 off(AX)(R12*1), Z0  \
	VMOVDQU64 off(BX)(R12*1), Z1  \
	VMOVDQU64 off(DX)(R12*1), Z2  \
	VMOVDQU64 off(SI)(R12*1), Z3  \
	VMOVDQU64 off(R8)(R12*1), Z4  \
	VMOVDQU64 off(R9)(R12*1), Z5  \
	VMOVDQU64 off(R10)(R12*1), Z6 \
	VMOVDQU64 off(R11)(R12*1), Z7

// func compress8(s *state, n uint64)
TEXT ·compress8(SB), NOSPLIT, $0-16
	MOVQ s+0(FP), DI
	MOVQ n+8(FP), CX
	MOVQ 640(DI), AX
	MOVQ 648(DI), BX
	MOVQ 656(DI), DX
	MOVQ 664(DI), SI
	MOVQ 672(DI), R8
	MOVQ 680(DI), R9
	MOVQ 688(DI), R10
	MOVQ 696(DI), R11
	XORQ R12, R12

block8:
	LOAD8(0)
	TURN8(Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23)
	LOAD8(64)
	TURN8(Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31)
	VMOVDQU64 0(DI), Z0
	VMOVDQU64 64(DI), Z1
	VMOVDQU64 128(DI), Z2
	VMOVDQU64 192(DI), Z3
	VMOVDQU64 256(DI), Z4
	VMOVDQU64 320(DI), Z5
	VMOVDQU64 384(DI), Z6
	VMOVDQU64 448(DI), Z7
	VPBROADCASTQ iv<>+0(SB), Z8
	VPBROADCASTQ iv<>+8(SB), Z9
	VPBROADCASTQ iv<>+16(SB), Z10
	VPBROADCASTQ iv<>+24(SB), Z11
	VPBROADCASTQ iv<>+32(SB), Z12
	VPBROADCASTQ iv<>+40(SB), Z13
	VPBROADCASTQ iv<>+48(SB), Z14
	VPBROADCASTQ iv<>+56(SB), Z15
	VPXORQ 512(DI), Z12, Z12
	VPXORQ 576(DI), Z14, Z14

	ROUND8(Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31)
	ROUND8(Z30, Z26, Z20, Z24, Z25, Z31, Z29, Z22, Z17, Z28, Z16, Z18, Z27, Z23, Z21, Z19)
	ROUND8(Z27, Z24, Z28, Z16, Z21, Z18, Z31, Z29, Z26, Z30, Z19, Z22, Z23, Z17, Z25, Z20)
	ROUND8(Z23, Z25, Z19, Z17, Z29, Z28, Z27, Z30, Z18, Z22, Z21, Z26, Z20, Z16, Z31, Z24)
	ROUND8(Z25, Z16, Z21, Z23, Z18, Z20, Z26, Z31, Z30, Z17, Z27, Z28, Z22, Z24, Z19, Z29)
	ROUND8(Z18, Z28, Z22, Z26, Z16, Z27, Z24, Z19, Z20, Z29, Z23, Z21, Z31, Z30, Z17, Z25)
	ROUND8(Z28, Z21, Z17, Z31, Z30, Z29, Z20, Z26, Z16, Z23, Z22, Z19, Z25, Z18, Z24, Z27)
	ROUND8(Z29, Z27, Z23, Z30, Z28, Z17, Z19, Z25, Z21, Z16, Z31, Z20, Z24, Z22, Z18, Z26)
	ROUND8(Z22, Z31, Z30, Z25, Z27, Z19, Z16, Z24, Z28, Z18, Z29, Z23, Z17, Z20, Z26, Z21)
	ROUND8(Z26, Z18, Z24, Z20, Z23, Z22, Z17, Z21, Z31, Z27, Z25, Z30, Z19, Z28, Z29, Z16)
	ROUND8(Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31)
	ROUND8(Z30, Z26, Z20, Z24, Z25, Z31, Z29, Z22, Z17, Z28, Z16, Z18, Z27, Z23, Z21, Z19)

	VPXORQ Z8, Z0, Z0
	VPXORQ 0(DI), Z0, Z0
	VMOVDQU64 Z0, 0(DI)
	VPXORQ Z9, Z1, Z1
	VPXORQ 64(DI), Z1, Z1
	VMOVDQU64 Z1, 64(DI)
	VPXORQ Z10, Z2, Z2
	VPXORQ 128(DI), Z2, Z2
	VMOVDQU64 Z2, 128(DI)
	VPXORQ Z11, Z3, Z3
	VPXORQ 192(DI), Z3, Z3
	VMOVDQU64 Z3, 192(DI)
	VPXORQ Z12, Z4, Z4
	VPXORQ 256(DI), Z4, Z4
	VMOVDQU64 Z4, 256(DI)
	VPXORQ Z13, Z5, Z5
	VPXORQ 320(DI), Z5, Z5
	VMOVDQU64 Z5, 320(DI)
	VPXORQ Z14, Z6, Z6
	VPXORQ 384(DI), Z6, Z6
	VMOVDQU64 Z6, 384(DI)
	VPXORQ Z15, Z7, Z7
	VPXORQ 448(DI), Z7, Z7
	VMOVDQU64 Z7, 448(DI)
	VPBROADCASTQ size<>(SB), Z0
	VPADDQ 512(DI), Z0, Z0
	VMOVDQU64 Z0, 512(DI)
	ADDQ $128, R12
	DECQ CX
	JNZ block8
	VZEROUPPER
	RET

// MIX4: the same with four lanes. There are no more registers than state: the message words are in
// memory, and d0 makes room for the last rotation.
#define MIX4(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3, x0, y0, x1, y1, x2, y2, x3, y3) \
	VPADDQ x0, a0, a0           \
	VPADDQ x1, a1, a1           \
	VPADDQ x2, a2, a2           \
	VPADDQ x3, a3, a3           \
	VPADDQ b0, a0, a0           \
	VPADDQ b1, a1, a1           \
	VPADDQ b2, a2, a2           \
	VPADDQ b3, a3, a3           \
	VPXOR a0, d0, d0            \
	VPXOR a1, d1, d1            \
	VPXOR a2, d2, d2            \
	VPXOR a3, d3, d3            \
	VPSHUFD $0xb1, d0, d0       \
	VPSHUFD $0xb1, d1, d1       \
	VPSHUFD $0xb1, d2, d2       \
	VPSHUFD $0xb1, d3, d3       \
	VPADDQ d0, c0, c0           \
	VPADDQ d1, c1, c1           \
	VPADDQ d2, c2, c2           \
	VPADDQ d3, c3, c3           \
	VPXOR c0, b0, b0            \
	VPXOR c1, b1, b1            \
	VPXOR c2, b2, b2            \
	VPXOR c3, b3, b3            \
	VPSHUFB ror24<>(SB), b0, b0 \
	VPSHUFB ror24<>(SB), b1, b1 \
	VPSHUFB ror24<>(SB), b2, b2 \
	VPSHUFB ror24<>(SB), b3, b3 \
	VPADDQ y0, a0, a0           \
	VPADDQ y1, a1, a1           \
	VPADDQ y2, a2, a2           \
	VPADDQ y3, a3, a3           \
	VPADDQ b0, a0, a0           \
	VPADDQ b1, a1, a1           \
	VPADDQ b2, a2, a2           \
	VPADDQ b3, a3, a3           \
	VPXOR a0, d0, d0            \
	VPXOR a1, d1, d1            \
	VPXOR a2, d2, d2            \
	VPXOR a3, d3, d3            \
	VPSHUFB ror16<>(SB), d0, d0 \
	VPSHUFB ror16<>(SB), d1, d1 \
	VPSHUFB ror16<>(SB), d2, d2 \
	VPSHUFB ror16<>(SB), d3, d3 \
	VPADDQ d0, c0, c0           \
	VPADDQ d1, c1, c1           \
	VPADDQ d2, c2, c2           \
	VPADDQ d3, c3, c3           \
	VPXOR c0, b0, b0            \
	VPXOR c1, b1, b1            \
	VPXOR c2, b2, b2            \
	VPXOR c3, b3, b3            \
	VMOVDQA d0, 512(R13)        \
	VPADDQ b0, b0, d0           \
	VPSRLQ $63, b0, b0          \
	VPXOR d0, b0, b0            \
	VPADDQ b1, b1, d0           \
	VPSRLQ $63, b1, b1          \
	VPXOR d0, b1, b1            \
	VPADDQ b2, b2, d0           \
	VPSRLQ $63, b2, b2          \
	VPXOR d0, b2, b2            \
	VPADDQ b3, b3, d0           \
	VPSRLQ $63, b3, b3          \
	VPXOR d0, b3, b3            \
	VMOVDQA 512(R13), d0

#define ROUND4(m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15) \
	MIX4(Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15, 32*m0(R13), 32*m1(R13), 32*m2(R13), 32*m3(R13), 32*m4(R13), 32*m5(R13), 32*m6(R13), 32*m7(R13))       \
	MIX4(Y0, Y1, Y2, Y3, Y5, Y6, Y7, Y4, Y10, Y11, Y8, Y9, Y15, Y12, Y13, Y14, 32*m8(R13), 32*m9(R13), 32*m10(R13), 32*m11(R13), 32*m12(R13), 32*m13(R13), 32*m14(R13), 32*m15(R13))

// TURN4: four words of each of four lanes to four vectors in memory.
#define TURN4(part) \
	VMOVDQU 32*part(AX)(R12*1), Y0 \
	VMOVDQU 32*part(BX)(R12*1), Y1 \
	VMOVDQU 32*part(DX)(R12*1), Y2 \
	VMOVDQU 32*part(SI)(R12*1), Y3 \
	VPUNPCKLQDQ Y1, Y0, Y4         \
	VPUNPCKHQDQ Y1, Y0, Y5         \
	VPUNPCKLQDQ Y3, Y2, Y6         \
	VPUNPCKHQDQ Y3, Y2, Y7         \
	VPERM2I128 $0x20, Y6, Y4, Y0   \
	VPERM2I128 $0x20, Y7, Y5, Y1   \
	VPERM2I128 $0x31, Y6, Y4, Y2   \
	VPERM2I128 $0x31, Y7, Y5, Y3   \
	VMOVDQA Y0, 128*part+0(R13)    \
	VMOVDQA Y1, 128*part+32(R13)   \
	VMOVDQA Y2, 128*part+64(R13)   \
	VMOVDQA Y3, 128*part+96(R13)

// func compress4(s *state, n uint64)
TEXT ·compress4(SB), 0, $576-16
	MOVQ s+0(FP), DI
	MOVQ n+8(FP), CX
	MOVQ SP, R13
	ADDQ $31, R13
	ANDQ $~31, R13
	MOVQ 640(DI), AX
	MOVQ 648(DI), BX
	MOVQ 656(DI), DX
	MOVQ 664(DI), SI
	XORQ R12, R12

block4:
	TURN4(0)
	TURN4(1)
	TURN4(2)
	TURN4(3)
	VMOVDQU 0(DI), Y0
	VMOVDQU 64(DI), Y1
	VMOVDQU 128(DI), Y2
	VMOVDQU 192(DI), Y3
	VMOVDQU 256(DI), Y4
	VMOVDQU 320(DI), Y5
	VMOVDQU 384(DI), Y6
	VMOVDQU 448(DI), Y7
	VPBROADCASTQ iv<>+0(SB), Y8
	VPBROADCASTQ iv<>+8(SB), Y9
	VPBROADCASTQ iv<>+16(SB), Y10
	VPBROADCASTQ iv<>+24(SB), Y11
	VPBROADCASTQ iv<>+32(SB), Y12
	VPBROADCASTQ iv<>+40(SB), Y13
	VPBROADCASTQ iv<>+48(SB), Y14
	VPBROADCASTQ iv<>+56(SB), Y15
	VPXOR 512(DI), Y12, Y12
	VPXOR 576(DI), Y14, Y14

	ROUND4(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	ROUND4(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)
	ROUND4(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4)
	ROUND4(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8)
	ROUND4(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13)
	ROUND4(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9)
	ROUND4(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11)
	ROUND4(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10)
	ROUND4(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5)
	ROUND4(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0)
	ROUND4(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	ROUND4(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)

	VPXOR Y8, Y0, Y0
	VPXOR 0(DI), Y0, Y0
	VMOVDQU Y0, 0(DI)
	VPXOR Y9, Y1, Y1
	VPXOR 64(DI), Y1, Y1
	VMOVDQU Y1, 64(DI)
	VPXOR Y10, Y2, Y2
	VPXOR 128(DI), Y2, Y2
	VMOVDQU Y2, 128(DI)
	VPXOR Y11, Y3, Y3
	VPXOR 192(DI), Y3, Y3
	VMOVDQU Y3, 192(DI)
	VPXOR Y12, Y4, Y4
	VPXOR 256(DI), Y4, Y4
	VMOVDQU Y4, 256(DI)
	VPXOR Y13, Y5, Y5
	VPXOR 320(DI), Y5, Y5
	VMOVDQU Y5, 320(DI)
	VPXOR Y14, Y6, Y6
	VPXOR 384(DI), Y6, Y6
	VMOVDQU Y6, 384(DI)
	VPXOR Y15, Y7, Y7
	VPXOR 448(DI), Y7, Y7
	VMOVDQU Y7, 448(DI)
	VPBROADCASTQ size<>(SB), Y0
	VPADDQ 512(DI), Y0, Y0
	VMOVDQU Y0, 512(DI)
	ADDQ $128, R12
	DECQ CX
	JNZ block4
	VZEROUPPER
	RET
