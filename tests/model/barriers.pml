/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The barriers, by the names that they have in the code. Of rings they are those of
 * docs/reference/virtqueue.md, section 6.
 * -DWITHOUT_B1 and so on takes one away.
 */
#ifdef WITHOUT_B1
#define B1 0
#else
#define B1 1
#endif
#ifdef WITHOUT_B2
#define B2 0
#else
#define B2 1
#endif
#ifdef WITHOUT_B3
#define B3 0
#else
#define B3 1
#endif
#ifdef WITHOUT_B4
#define B4 0
#else
#define B4 1
#endif
#ifdef WITHOUT_B5
#define B5 0
#else
#define B5 1
#endif
#ifdef WITHOUT_B6
#define B6 0
#else
#define B6 1
#endif
#ifdef WITHOUT_B7
#define B7 0
#else
#define B7 1
#endif
#ifdef WITHOUT_B8
#define B8 0
#else
#define B8 1
#endif
#ifdef WITHOUT_B9_ASK
#define B9_ASK 0
#else
#define B9_ASK 1
#endif
#ifdef WITHOUT_B9_ANSWER
#define B9_ANSWER 0
#else
#define B9_ANSWER 1
#endif
#ifdef WITHOUT_W1
#define W1 0
#else
#define W1 1
#endif
#ifdef WITHOUT_W2
#define W2 0
#else
#define W2 1
#endif
#ifdef WITHOUT_G1
#define G1 0
#else
#define G1 1
#endif
#ifdef WITHOUT_G2
#define G2 0
#else
#define G2 1
#endif
#ifdef WITHOUT_G3
#define G3 0
#else
#define G3 1
#endif
#ifdef WITHOUT_G4
#define G4 0
#else
#define G4 1
#endif
