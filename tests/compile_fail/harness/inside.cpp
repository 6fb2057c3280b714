// expect: \[tenon\.warmup\] warmup is longer
#ifdef FIXED
#else
namespace detail {
template <class T>
struct check {
  static_assert(sizeof(T) == 0, "[tenon.warmup] warmup is longer than the horizon. Shorten it");
};
}
template struct detail::check<int>;
#endif
// refused: speaks of the library inside
