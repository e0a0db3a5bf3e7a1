/*
 * Registers, commands and structures of NVM Express (Base Specification 1.4). Sections are its.
 */
#pragma once

#include "kernel/abi/types.h"

/* 3.1: controller registers */
#define NVME_CAP        0x00u
#define NVME_CC         0x14u
#define NVME_CSTS       0x1cu
#define NVME_AQA        0x24u
#define NVME_ASQ        0x28u
#define NVME_ACQ        0x30u
#define NVME_DOORBELLS  0x1000u
#define NVME_REGS_LEAST 0x2000u

/* 3.1.1 */
#define NVME_CAP_MQES(cap)   ((u32)(cap)&0xffffu)         /* entries of a queue, less 1 */
#define NVME_CAP_TO(cap)     ((u32)((cap) >> 24) & 0xffu) /* in 500 ms: to become ready or not */
#define NVME_CAP_DSTRD(cap)  ((u32)((cap) >> 32) & 0xfu)
#define NVME_CAP_NVM(cap)    ((cap) >> 37 & 1)           /* the NVM command set */
#define NVME_CAP_MPSMIN(cap) ((u32)((cap) >> 48) & 0xfu) /* least page, 2^(12 + n) */

/* 3.1.5 */
#define NVME_CC_EN      BIT(0)
#define NVME_CC_IOSQES  (6u << 16) /* entries of 64 bytes */
#define NVME_CC_IOCQES  (4u << 20) /* of 16 */
#define NVME_CC_CSS_NVM 0u
#define NVME_CC_MPS_4K  0u

/* 3.1.6 */
#define NVME_CSTS_RDY BIT(0)
#define NVME_CSTS_CFS BIT(1)      /* fatal */
#define NVME_NSID_ALL 0xffffffffu /* 6.1.2: names none */
#define NVME_GONE     0xffffffffu

/* 5: admin commands */
#define NVME_ADMIN_CREATE_SQ    0x01u
#define NVME_ADMIN_CREATE_CQ    0x05u
#define NVME_ADMIN_IDENTIFY     0x06u
#define NVME_ADMIN_SET_FEATURES 0x09u
#define NVME_CNS_NAMESPACE      0u
#define NVME_CNS_CONTROLLER     1u
#define NVME_CNS_ACTIVE         2u /* list of namespaces */
#define NVME_FEATURE_QUEUES     7u
#define NVME_QUEUE_CONTIGUOUS   BIT(0)
#define NVME_QUEUE_INTERRUPT    BIT(1)

/* 6: commands of the NVM command set */
#define NVME_FLUSH        0x00u
#define NVME_WRITE        0x01u
#define NVME_READ         0x02u
#define NVME_WRITE_ZEROES 0x08u
#define NVME_DATASET      0x09u
#define NVME_FUA          BIT(30) /* dword 12 of WRITE, READ, WRITE_ZEROES */
#define NVME_DEALLOCATE   BIT(25) /* of WRITE_ZEROES */
#define NVME_DATASET_AD   BIT(2)  /* dword 11 of DATASET: deallocate */

/* 4.2 */
struct nvme_command {
	u8 opcode;
	u8 flags;
	u16 id;
	u32 nsid;
	u64 reserved;
	u64 metadata;
	u64 prp1;
	u64 prp2;
	u32 dword[6]; /* 10 to 15 */
};
static_assert(sizeof(struct nvme_command) == 64);

/* 4.6 */
struct nvme_completion {
	u32 result;
	u32 reserved;
	u16 sq_head;
	u16 sq_id;
	u16 id;
	u16 status; /* bit 0: phase */
};
static_assert(sizeof(struct nvme_completion) == 16);

/* 4.6.1 */
#define NVME_STATUS_PHASE      1u
#define NVME_STATUS_CODE(s)    ((s) >> 1 & 0x7ffu) /* type in bits 10:8 */
#define NVME_SC_OK             0x000u
#define NVME_SC_INVALID_OPCODE 0x001u
#define NVME_SC_LBA_RANGE      0x080u

/* 6.7.1 */
struct nvme_range {
	u32 attributes;
	u32 blocks;
	u64 lba;
};
static_assert(sizeof(struct nvme_range) == 16);

/* 5.15.2.2, figure 247: identify controller */
#define NVME_CTRL_MDTS         77u /* 2^n least pages; 0: any */
#define NVME_CTRL_ONCS         520u
#define NVME_CTRL_ONCS_DATASET BIT(2)
#define NVME_CTRL_ONCS_ZEROES  BIT(3)
#define NVME_CTRL_VWC          525u
#define NVME_CTRL_VWC_PRESENT  BIT(0)

/* 5.15.2.1, figure 245: identify namespace */
#define NVME_NS_SIZE             0u
#define NVME_NS_FEATURES         24u
#define NVME_NS_FEATURES_OPTIMAL BIT(4) /* NPWG, NPDG are valid */
#define NVME_NS_FORMATS          25u
#define NVME_NS_FORMAT           26u
#define NVME_NS_FORMAT_INDEX     0xfu
#define NVME_NS_NPWG             64u /* in blocks, less 1 */
#define NVME_NS_NPDG             68u
#define NVME_NS_ATTRIBUTES       99u
#define NVME_NS_PROTECTED        BIT(0)
#define NVME_NS_LBAF             128u /* of four bytes each: metadata size, LBADS, performance */
