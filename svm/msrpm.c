/* Where an MSR lies in the MSR permission map (APM vol. 2, 15.11). */
#include "svm/svm.h"

#define RANGE 0x2000u

bool svm_msrpm_bit(u32 msr, u32 *bit)
{
	static const u32 first[] = {0, 0xc0000000, 0xc0010000};

	for (u32 i = 0; i < ARRAY_SIZE(first); i++) {
		if (msr >= first[i] && msr - first[i] < RANGE) {
			*bit = (i * RANGE + msr - first[i]) * 2;
			return true;
		}
	}
	return false;
}
