// expect: \[tenon\.warmup\] warmup is longer
static_assert(false, "[tenon.warmup] warmup is longer than the horizon. Shorten it");
// refused: has no "#ifdef FIXED" twin
