// The PTX behind ptx_hopper.cuh. For other targets the verbs are words that trap, and the kernels that use
// them vanish.
#pragma once

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define SM90(...) asm volatile(__VA_ARGS__)
// Tensor maps come before the parameters, as the host packs them.
#define KERNEL_MAPS(name, Params, threads, count)                                                            \
  struct MapsOf_##name { TensorMap maps[count]; Params p; };                                                 \
  DEVICE void body_##name(const TensorMap (&maps)[count], const Params& p);                                  \
  extern "C" __global__ void __launch_bounds__(threads) name(const __grid_constant__ MapsOf_##name all) { \
    body_##name(all.maps, all.p);                                                                            \
  }                                                                                                          \
  DEVICE void body_##name(const TensorMap (&maps)[count], const Params& p)
#else
#define SM90(...) __trap()
#define KERNEL_MAPS(name, Params, threads, count) \
  DEVICE void absent_##name(const TensorMap (&maps)[count], const Params& p)
#endif

// ---- mbarriers ----
DEVICE void mbarrier_init(u64* barrier, u32 arrivals) {
  SM90("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(shared_address(barrier)), "r"(arrivals) : "memory");
}
DEVICE void mbarrier_init_fence() { SM90("fence.mbarrier_init.release.cluster;" ::: "memory"); }
DEVICE void mbarrier_arrive(u64* barrier) {
  SM90("{\n.reg .b64 state;\nmbarrier.arrive.shared::cta.b64 state, [%0];\n}" :: "r"(shared_address(barrier)) : "memory");
}
DEVICE void mbarrier_arrive_expect(u64* barrier, u32 bytes) {
  SM90("{\n.reg .b64 state;\nmbarrier.arrive.expect_tx.shared::cta.b64 state, [%0], %1;\n}"
       :: "r"(shared_address(barrier)), "r"(bytes) : "memory");
}
DEVICE void mbarrier_wait(u64* barrier, u32 parity) {
  const u32 address = shared_address(barrier);
  u32 passed = 0;
  while (!passed)
    SM90("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
         : "=r"(passed) : "r"(address), "r"(parity) : "memory");
}
DEVICE void fence_async_proxy() { SM90("fence.proxy.async.shared::cta;" ::: "memory"); }

// ---- tiles of tensors ----
#define LOAD(dims, mode) "cp.async.bulk.tensor." dims ".shared::cluster.global." mode ".mbarrier::complete_tx::bytes [%0], "
#define LOAD_ARGUMENTS "r"(shared_address(shared)), "l"(&map), "r"(shared_address(barrier))
template <u32 D>
DEVICE void tensor_load(void* shared, const TensorMap& map, u64* barrier, const i32 (&at)[D]) {
  static_assert(D >= 1 && D <= 5, "a tensor has one to five dimensions");
  if constexpr (D == 1) SM90(LOAD("1d", "tile") "[%1, {%3}], [%2];" :: LOAD_ARGUMENTS, "r"(at[0]) : "memory");
  if constexpr (D == 2)
    SM90(LOAD("2d", "tile") "[%1, {%3, %4}], [%2];" :: LOAD_ARGUMENTS, "r"(at[0]), "r"(at[1]) : "memory");
  if constexpr (D == 3)
    SM90(LOAD("3d", "tile") "[%1, {%3, %4, %5}], [%2];"
         :: LOAD_ARGUMENTS, "r"(at[0]), "r"(at[1]), "r"(at[2]) : "memory");
  if constexpr (D == 4)
    SM90(LOAD("4d", "tile") "[%1, {%3, %4, %5, %6}], [%2];"
         :: LOAD_ARGUMENTS, "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]) : "memory");
  if constexpr (D == 5)
    SM90(LOAD("5d", "tile") "[%1, {%3, %4, %5, %6, %7}], [%2];"
         :: LOAD_ARGUMENTS, "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(at[4]) : "memory");
}
DEVICE void tensor_load_im2col(void* shared, const TensorMap& map, u64* barrier, i32 c, i32 w, i32 h, i32 n,
                               u16 offset_w, u16 offset_h) {
  SM90(LOAD("4d", "im2col") "[%1, {%3, %4, %5, %6}], [%2], {%7, %8};"
       :: LOAD_ARGUMENTS, "r"(c), "r"(w), "r"(h), "r"(n), "h"(offset_w), "h"(offset_h) : "memory");
}
#define STORE(dims) "cp.async.bulk.tensor." dims ".global.shared::cta.tile.bulk_group "
#define STORE_ARGUMENTS "l"(&map), "r"(shared_address(shared))
template <u32 D>
DEVICE void tensor_store(const TensorMap& map, const void* shared, const i32 (&at)[D]) {
  static_assert(D >= 1 && D <= 5, "a tensor has one to five dimensions");
  if constexpr (D == 1) SM90(STORE("1d") "[%0, {%2}], [%1];" :: STORE_ARGUMENTS, "r"(at[0]) : "memory");
  if constexpr (D == 2)
    SM90(STORE("2d") "[%0, {%2, %3}], [%1];" :: STORE_ARGUMENTS, "r"(at[0]), "r"(at[1]) : "memory");
  if constexpr (D == 3)
    SM90(STORE("3d") "[%0, {%2, %3, %4}], [%1];"
         :: STORE_ARGUMENTS, "r"(at[0]), "r"(at[1]), "r"(at[2]) : "memory");
  if constexpr (D == 4)
    SM90(STORE("4d") "[%0, {%2, %3, %4, %5}], [%1];"
         :: STORE_ARGUMENTS, "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]) : "memory");
  if constexpr (D == 5)
    SM90(STORE("5d") "[%0, {%2, %3, %4, %5, %6}], [%1];"
         :: STORE_ARGUMENTS, "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(at[4]) : "memory");
}
DEVICE void bulk_commit() { SM90("cp.async.bulk.commit_group;" ::: "memory"); }
template <int OPEN>
DEVICE void bulk_wait_read() { SM90("cp.async.bulk.wait_group.read %0;" :: "n"(OPEN) : "memory"); }
template <int OPEN>
DEVICE void bulk_wait() { SM90("cp.async.bulk.wait_group %0;" :: "n"(OPEN) : "memory"); }

// ---- wgmma ----
DEVICE void wgmma_fence() { SM90("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void wgmma_commit() { SM90("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int OPEN>
DEVICE void wgmma_wait() { SM90("wgmma.wait_group.sync.aligned %0;" :: "n"(OPEN) : "memory"); }

// The accumulators as names in the instruction and as operands of asm, for each shape.
#define D4 "%0,%1,%2,%3"
#define D8 D4 ",%4,%5,%6,%7"
#define D16 D8 ",%8,%9,%10,%11,%12,%13,%14,%15"
#define D32 D16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define D48 D32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
#define D64 D48 ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define D80 D64 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"
#define D96 D80 ",%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"
#define D112 D96 ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111"
#define D128 D112 ",%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define F4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define F8(i) F4(i), F4(i + 4)
#define F16(i) F8(i), F8(i + 8)
#define F32(i) F16(i), F16(i + 16)
#define F48(i) F32(i), F16(i + 32)
#define F64(i) F32(i), F32(i + 32)
#define F96(i) F64(i), F32(i + 64)
#define F128(i) F64(i), F64(i + 64)

// N, its accumulators, and the numbers of the operands behind them.
#define WGMMA_SHAPES(SHAPE)                          \
  SHAPE(8, 4, 4, 5, 6, 7, 8, 9, 10)                  \
  SHAPE(16, 8, 8, 9, 10, 11, 12, 13, 14)             \
  SHAPE(32, 16, 16, 17, 18, 19, 20, 21, 22)          \
  SHAPE(64, 32, 32, 33, 34, 35, 36, 37, 38)          \
  SHAPE(96, 48, 48, 49, 50, 51, 52, 53, 54)          \
  SHAPE(128, 64, 64, 65, 66, 67, 68, 69, 70)         \
  SHAPE(192, 96, 96, 97, 98, 99, 100, 101, 102)      \
  SHAPE(256, 128, 128, 129, 130, 131, 132, 133, 134)
#define WGMMA(n) "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 "

template <u32 N, Major A, Major B>
DEVICE void wgmma(float (&d)[N / 2], u64 a, u64 b, bool accumulate) {
  static_assert(wgmma_has(N), "no such shape of wgmma");
#define SHAPE(n, count, i0, i1, i2, i3, i4, i5, i6)                                                            \
  if constexpr (N == n)                                                                                        \
    SM90("{\n.reg .pred p;\nsetp.ne.b32 p, %" #i2 ", 0;\n" WGMMA(n) "{" D##count "}, %" #i0 ", %" #i1           \
         ", p, 1, 1, %" #i3 ", %" #i4 ";\n}"                                                                   \
         : F##count(0) : "l"(a), "l"(b), "r"(u32(accumulate)), "n"(int(A)), "n"(int(B)));
  WGMMA_SHAPES(SHAPE)
#undef SHAPE
}
template <u32 N, Major B>
DEVICE void wgmma_registers(float (&d)[N / 2], const u32 (&a)[4], u64 b, bool accumulate) {
  static_assert(wgmma_has(N), "no such shape of wgmma");
#define SHAPE(n, count, i0, i1, i2, i3, i4, i5, i6)                                                            \
  if constexpr (N == n)                                                                                        \
    SM90("{\n.reg .pred p;\nsetp.ne.b32 p, %" #i5 ", 0;\n" WGMMA(n) "{" D##count "}, {%" #i0 ",%" #i1 ",%" #i2  \
         ",%" #i3 "}, %" #i4 ", p, 1, 1, %" #i6 ";\n}"                                                         \
         : F##count(0)                                                                                         \
         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(u32(accumulate)), "n"(int(B)));
  WGMMA_SHAPES(SHAPE)
#undef SHAPE
}

// ---- registers ----
template <u32 N>
DEVICE void set_registers_more() { SM90("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(N)); }
template <u32 N>
DEVICE void set_registers_fewer() { SM90("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(N)); }
