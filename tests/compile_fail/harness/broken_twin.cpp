// expect: \[tenon\.warmup\] warmup is longer
#ifdef FIXED
constexpr int twin = nothing;
#else
static_assert(false, "[tenon.warmup] warmup is longer than the horizon. Shorten it");
#endif
// refused: what the sentence proposes does not compile
