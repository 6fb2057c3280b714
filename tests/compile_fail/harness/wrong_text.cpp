// expect: \[tenon\.warmup\] warmup is longer
#ifndef FIXED
static_assert(false, "[tenon.heads] the heads do not divide the width");
#endif
#ifdef FIXED
#endif
// refused: failed for another reason
