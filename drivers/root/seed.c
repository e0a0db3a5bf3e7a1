/* Seeds for programs: ChaCha20 keyed with the entropy that the loader found. */
#include "drivers/lib/chacha20.h"
#include "drivers/root/member.h"

void seed_make(u64 seed[4])
{
	static u32 counter;
	u64 now = tsc_now();
	u8 nonce[CHACHA20_NONCE] = {0};
	u8 block[CHACHA20_BLOCK];

	static_assert(sizeof(boot->entropy) >= CHACHA20_KEY);
	memcpy(nonce, &now, sizeof(now));
	chacha20_block(boot->entropy, counter++, nonce, block);
	memcpy(seed, block, 32);
}
