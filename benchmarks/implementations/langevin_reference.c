/* The kernel of aniso/langevin/linear_kernel.py in C: blocks of 64 lanes, Philox 4x32-10 keyed by
 * (path, step), Box-Muller, dense propagator and noise factor. The limit that a compiled language
 * sets on this machine.
 *
 *   cc -O3 -march=native -ffast-math -shared -fPIC -o langevin_reference.so langevin_reference.c
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES 64
#define D 10

static inline double as_double(uint64_t word) { double x; memcpy(&x, &word, 8); return x; }
static inline uint64_t as_word(double x) { uint64_t word; memcpy(&word, &x, 8); return word; }

static inline void philox(uint64_t c0, uint64_t c1, uint64_t c2, uint64_t c3, uint64_t k0,
                          uint64_t k1, uint64_t *first, uint64_t *second)
{
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)(uint32_t)c0 * 0xD2511F53u, b = (uint64_t)(uint32_t)c2 * 0xCD9E8D57u;
        c0 = (b >> 32) ^ c1 ^ k0;
        c1 = b & 0xFFFFFFFFu;
        c2 = (a >> 32) ^ c3 ^ k1;
        c3 = a & 0xFFFFFFFFu;
        k0 = (k0 + 0x9E3779B9u) & 0xFFFFFFFFu;
        k1 = (k1 + 0xBB67AE85u) & 0xFFFFFFFFu;
    }
    *first = (c0 << 32) | c1;
    *second = (c2 << 32) | c3;
}

static inline void box_muller(uint64_t first, uint64_t second, double *z0, double *z1)
{
    double u = 2.0 - as_double((first >> 12) | 0x3ff0000000000000u);
    uint64_t bits = as_word(u) + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu);
    double k = as_double((bits >> 52) + (0x4338000000000000u - 0x3ff)) - 6755399441055744.0;
    double m = as_double((bits & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu);
    double f = m - 1.0, s = f / (m + 1.0), z = s * s;
    double r = z * (6.666666666666735130e-01 + z * (3.999999999940941908e-01
             + z * (2.857142874366239149e-01 + z * (2.222219843214978396e-01
             + z * (1.818357216161805012e-01 + z * (1.531383769920937332e-01
             + z * 1.479819860511658591e-01))))));
    double h = 0.5 * f * f;
    double radius = sqrt(-2.0 * (k * 6.93147180559945286e-01 + (f - (h - s * (h + r)))));
    double t = (as_double((second >> 12) | 0x3ff0000000000000u) - 1.5) * 1.5707963267948966;
    double q = t * t;
    double sine = t + t * q * (-1.66666666666666324348e-01 + q * (8.33333333332248946124e-03
                + q * (-1.98412698298579493134e-04 + q * (2.75573137070700676789e-06
                + q * (-2.50507602534068634195e-08 + q * 1.58969099521155010221e-10)))));
    double cosine = 1.0 - q * (0.5 - q * (4.16666666666666019037e-02
                  + q * (-1.38888888888741095749e-03 + q * (2.48015872894767294178e-05
                  + q * (-2.75573143513906633035e-07
                  + q * (2.08757232129817482790e-09 - q * 1.13596475577881948265e-11))))));
    cosine = as_double(as_word(cosine) ^ (second << 63));
    int exchange = (second >> 1) & 1;
    *z0 = radius * (exchange ? sine : cosine);
    *z1 = radius * (exchange ? cosine : sine);
}

/* Sum of theta_i^2 over the paths first_path .. first_path + num_paths - 1 (a multiple of LANES)
 * after num_steps steps of theta <- A theta + F z. */
void ornstein_uhlenbeck(uint64_t seed, uint64_t first_path, int64_t num_paths, int64_t num_steps,
                        const double *restrict a, const double *restrict factor,
                        const double *restrict start, double *restrict sums)
{
    double panel[2 * D][LANES], next[D][LANES];
    const uint64_t k0 = seed & 0xFFFFFFFFu, k1 = seed >> 32;
    for (int i = 0; i < D; i++) sums[i] = 0;
    for (int64_t block = 0; block < num_paths; block += LANES) {
        for (int i = 0; i < D; i++)
            for (int lane = 0; lane < LANES; lane++) panel[i][lane] = start[i];
        for (int64_t step = 0; step < num_steps; step++) {
            for (int pair = 0; pair < D / 2; pair++) {
                uint64_t number = step * (D / 2) + pair;
                double *restrict even = panel[D + 2 * pair], *restrict odd = panel[D + 2 * pair + 1];
#pragma GCC ivdep
                for (int lane = 0; lane < LANES; lane++) {
                    uint64_t path = first_path + block + lane, w0, w1;
                    philox(path & 0xFFFFFFFFu, path >> 32, number & 0xFFFFFFFFu, number >> 32, k0,
                           k1, &w0, &w1);
                    box_muller(w0, w1, &even[lane], &odd[lane]);
                }
            }
            for (int i = 0; i < D; i++)
#pragma GCC ivdep
                for (int lane = 0; lane < LANES; lane++) {
                    double sum = 0;
#pragma GCC unroll 10
                    for (int j = 0; j < D; j++)
                        sum += a[i * D + j] * panel[j][lane] + factor[i * D + j] * panel[D + j][lane];
                    next[i][lane] = sum;
                }
            memcpy(panel, next, sizeof next);
        }
        for (int i = 0; i < D; i++)
            for (int lane = 0; lane < LANES; lane++) sums[i] += panel[i][lane] * panel[i][lane];
    }
}
