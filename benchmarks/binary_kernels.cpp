// A binary residual layer in C++ with intrinsics, beside which benchmarks/binary_kernels.py times
// perfsuite-binary: 3x3, stride 1, on AVX-512 with VPOPCNTDQ; and what this processor can count.
#include <immintrin.h>
#include <time.h>

#include <algorithm>
#include <cstdint>

namespace {

struct Layer {
  const char *x, *w, *base, *columns;
  const float *scale, *shift, *before, *slope, *after, *threshold, *shortcut;
  float *y;
  char *bits;
  int64_t height, width, words, filters;
};

template <int P, int Q>
inline void tile(const Layer &l, int64_t plane, int64_t row, int64_t column, int64_t q0,
                 uint64_t *packed) {
  const int64_t padded = l.width + 2, first = row == 0, end = row == l.height - 1 ? 2 : 3;
  const int64_t block = l.words * 9 * 64;
  __m512i sums[P][Q];
  for (int p = 0; p < P; p++)
    for (int q = 0; q < Q; q++) sums[p][q] = _mm512_setzero_si512();
  for (int64_t word = 0; word < l.words; word++)
    for (int64_t i = first; i < end; i++) {
      const char *x = l.x + ((word * l.height + row + i - 1) * padded + column) * 8;
      const char *w = l.w + (plane * 8 + q0) * block + (word * 9 + i * 3) * 64;
      for (int64_t j = 0; j < 3; j++, x += 8, w += 64) {
        __m512i weights[Q];
        for (int q = 0; q < Q; q++) weights[q] = _mm512_load_si512(w + q * block);
        for (int p = 0; p < P; p++) {
          const __m512i value = _mm512_set1_epi64(*(const int64_t *)(x + 8 * p));
          for (int q = 0; q < Q; q++)
            sums[p][q] = _mm512_add_epi64(
                sums[p][q], _mm512_popcnt_epi64(_mm512_xor_si512(value, weights[q])));
        }
      }
    }
  const int64_t *columns = (const int64_t *)l.columns + column;
  const int64_t kind = row == 0 ? 0 : row == l.height - 1 ? 2 : 1;
  for (int p = 0; p < P; p++)
    for (int q = 0; q < Q; q++) {
      const int64_t m = plane * 64 + (q0 + q) * 8;
      const char *base = l.base + kind * 3 * l.filters * 4 + columns[p] + m * 4;
      const __m256i twice = _mm256_slli_epi32(_mm512_cvtepi64_epi32(sums[p][q]), 1);
      __m256 v = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)base), twice));
      v = _mm256_add_ps(_mm256_mul_ps(v, _mm256_loadu_ps(l.scale + m)), _mm256_loadu_ps(l.shift + m));
      const int64_t place = (row * l.width + column + p) * l.filters + m;
      v = _mm256_add_ps(v, _mm256_loadu_ps(l.shortcut + place));
      v = _mm256_sub_ps(v, _mm256_loadu_ps(l.before + m));
      v = _mm256_mask_mul_ps(v, _mm256_cmp_ps_mask(v, _mm256_setzero_ps(), _CMP_LT_OQ), v,
                             _mm256_loadu_ps(l.slope + m));
      v = _mm256_add_ps(v, _mm256_loadu_ps(l.after + m));
      _mm256_storeu_ps(l.y + place, v);
      const uint64_t bits = _mm256_cmp_ps_mask(v, _mm256_loadu_ps(l.threshold + m), _CMP_GE_OQ);
      packed[p] |= bits << ((q0 + q) * 8);
    }
}

template <int P, int Q>
void unit(const Layer &l, int64_t plane, int64_t row) {
  for (int64_t column = 0; column < l.width; column += P) {
    uint64_t packed[P] = {};
    for (int64_t q = 0; q < 8; q += Q) tile<P, Q>(l, plane, row, column, q, packed);
    auto *bits = (uint64_t *)l.bits + (plane * l.height + row) * (l.width + 2) + column + 1;
    for (int p = 0; p < P; p++) bits[p] = packed[p];
  }
}

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

}  // namespace

extern "C" void layer(const Layer *l, int64_t threads) {
  const int64_t units = l->filters / 64 * l->height;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t u = 0; u < units; u++) {
    if (l->width % 8 == 0) unit<8, 2>(*l, u / l->height, u % l->height);
    else if (l->width % 4 == 0) unit<4, 4>(*l, u / l->height, u % l->height);
    else unit<2, 8>(*l, u / l->height, u % l->height);
  }
}

// Returns how many products of bits one core forms in a second, if all lies in registers.
extern "C" double peak(int64_t turns) {
  constexpr int P = 8, Q = 2;
  __m512i sums[P][Q], x[P], w[Q];
  for (int q = 0; q < Q; q++) w[q] = _mm512_set1_epi64(turns + q);
  for (int p = 0; p < P; p++) {
    x[p] = _mm512_set1_epi64(777 + p);
    for (int q = 0; q < Q; q++) sums[p][q] = _mm512_setzero_si512();
  }
  const double begin = now();
  for (int64_t turn = 0; turn < turns; turn++) {
    for (int q = 0; q < Q; q++) asm volatile("" : "+v"(w[q]));  // as if they were new
    for (int p = 0; p < P; p++)
      for (int q = 0; q < Q; q++)
        sums[p][q] = _mm512_add_epi64(sums[p][q], _mm512_popcnt_epi64(_mm512_xor_si512(x[p], w[q])));
  }
  const double lasted = now() - begin;
  for (auto &row : sums)
    for (auto &sum : row) asm volatile("" : : "v"(sum));
  return turns * P * Q * 512 / lasted;
}
