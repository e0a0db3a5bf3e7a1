/* An Intel gigabit Ethernet controller: see chip.h. */
#include "drivers/e1000/chip.h"

#define GONE         (~0u)
#define STEP_US      100u
#define QUIET_US     10000u /* what was posted to memory arrives */
#define RESET_US     20000u /* the EEPROM is read again */
#define LOAD_US      100000u
#define MASTER_US    10000u
#define EEPROM_US    50000u
#define MDIC_US      10000u
#define INTERVAL     195u /* of 256 ns: at most 20000 interrupts a second */
#define MULTICAST    BIT(0)
#define EEPROM_SHIFT 8u /* of the address in EERD, and its bit that tells the end */
#define EEPROM_DONE  BIT(4)
#define NVM_SHIFT    2u /* an 82574's */
#define NVM_DONE     BIT(1)

static u32 get(const struct e1000 *c, u32 offset)
{
	return mmio_read32(c->registers + offset);
}

static void put(const struct e1000 *c, u32 offset, u32 value)
{
	mmio_write32(c->registers + offset, value);
}

/* Waits until the bits of `mask` in a register are `value`; its last content is in *got. */
static bool wait_for(const struct e1000 *c, u32 offset, u32 mask, u32 value, u64 us, u32 *got)
{
	for (u64 i = 0; i <= us / STEP_US; i++) {
		*got = get(c, offset);
		if (*got == GONE)
			return false;
		if ((*got & mask) == value)
			return true;
		device_wait(c->device, STEP_US);
	}
	return false;
}

bool e1000_stop(struct e1000 *c)
{
	u32 got;

	c->receives = false;
	put(c, E1000_IMC, GONE);
	put(c, E1000_RCTL, 0);
	put(c, E1000_TCTL, get(c, E1000_TCTL) & ~(u32)E1000_TCTL_EN);
	if (c->express) { /* 82574 5.2.5.3: if it does not end its DMA, the reset does */
		put(c, E1000_CTRL, get(c, E1000_CTRL) | (u32)E1000_CTRL_MASTER_DISABLE);
		wait_for(c, E1000_STATUS, E1000_STATUS_MASTER, 0, MASTER_US, &got);
	}
	device_wait(c->device, QUIET_US);
	put(c, E1000_CTRL, get(c, E1000_CTRL) | (u32)E1000_CTRL_RST);
	device_wait(c->device, RESET_US);
	if (!wait_for(c, E1000_CTRL, E1000_CTRL_RST, 0, LOAD_US, &got) ||
		(c->express && !wait_for(c, E1000_EECD, E1000_EECD_AUTO_RD, E1000_EECD_AUTO_RD,
				       LOAD_US, &got))) {
		device_log(c->device, "the card does not become reset: %#x", got);
		return false;
	}
	put(c, E1000_IMC, GONE);
	e1000_causes(c);
	if (get(c, E1000_RCTL) & E1000_RCTL_EN || get(c, E1000_TCTL) & E1000_TCTL_EN) {
		device_log(c->device, "the card does not stop");
		return false;
	}
	return true;
}

/* --- address --- */

static bool read_eeprom(const struct e1000 *c, u32 word, u16 *value)
{
	u32 shift = c->express ? NVM_SHIFT : EEPROM_SHIFT;
	u32 done = c->express ? NVM_DONE : EEPROM_DONE;
	u32 got;

	put(c, E1000_EERD, word << shift | (u32)E1000_EERD_START);
	if (!wait_for(c, E1000_EERD, done, done, EEPROM_US, &got))
		return false;
	*value = (u16)(got >> E1000_EERD_DATA);
	return true;
}

/* 5.6.1: words 0 to 2. */
static bool read_eeprom_mac(const struct e1000 *c, u8 mac[6])
{
	u16 sum = 0;
	u16 word;

	for (u32 i = 0; i < EEPROM_WORDS; i++) {
		if (!read_eeprom(c, i, &word)) {
			device_log(c->device, "its EEPROM cannot be read");
			return false;
		}
		sum = (u16)(sum + word);
		if (i < 3)
			memcpy(mac + 2 * i, &word, 2);
	}
	if (sum != EEPROM_SUM)
		device_log(c->device, "the checksum of its EEPROM is wrong");
	return sum == EEPROM_SUM;
}

static bool is_station(const u8 mac[6])
{
	u8 any = 0;

	for (u32 i = 0; i < 6; i++)
		any |= mac[i];
	return any != 0 && !(mac[0] & MULTICAST);
}

/* A reset loads the first receive address from the EEPROM (13.5.2), unless the emulator leaves that
 * to the driver. */
static bool find_mac(struct e1000 *c)
{
	u32 low = get(c, E1000_RAL);
	u32 high = get(c, E1000_RAH);

	memcpy(c->mac, &low, 4);
	memcpy(c->mac + 4, &high, 2);
	if (high & E1000_RAH_AV && is_station(c->mac))
		return true;
	if (!read_eeprom_mac(c, c->mac))
		return false;
	if (!is_station(c->mac))
		device_log(c->device, "its EEPROM has no address for it");
	return is_station(c->mac);
}

/* --- PHY --- */

static bool mdic(const struct e1000 *c, u32 command, u32 *got)
{
	put(c, E1000_MDIC, command | (u32)E1000_MDIC_PHY);
	return wait_for(c, E1000_MDIC, E1000_MDIC_READY, E1000_MDIC_READY, MDIC_US, got) &&
	       !(*got & E1000_MDIC_ERROR);
}

/* Switches the PHY on if the firmware left it off; a link that is up stays up. */
static bool wake_phy(const struct e1000 *c)
{
	u32 off = PHY_CONTROL_POWER | PHY_CONTROL_ISOLATE;
	u32 control;
	u32 got;

	if (!mdic(c, PHY_CONTROL << E1000_MDIC_REG | (u32)E1000_MDIC_READ, &control))
		return false;
	if (!(control & off) && control & PHY_CONTROL_AUTONEG)
		return true;
	control = (control & 0xffff & ~off) | PHY_CONTROL_AUTONEG | PHY_CONTROL_RESTART;
	return mdic(c, control | PHY_CONTROL << E1000_MDIC_REG | (u32)E1000_MDIC_WRITE, &got);
}

static void start_phy(const struct e1000 *c)
{
	u32 own = 0;
	bool good = true;

	if (c->express) {
		own = get(c, E1000_EXTCNF_CTRL);
		put(c, E1000_EXTCNF_CTRL, own | (u32)E1000_EXTCNF_MDIO);
		good = wait_for(
			c, E1000_EXTCNF_CTRL, E1000_EXTCNF_MDIO, E1000_EXTCNF_MDIO, MDIC_US, &own);
	}
	if (!good || !wake_phy(c))
		device_log(c->device, "its PHY does not answer: it is used as it is");
	if (c->express)
		put(c, E1000_EXTCNF_CTRL, own & ~(u32)E1000_EXTCNF_MDIO);
}

bool e1000_link(const struct e1000 *c)
{
	u32 status = get(c, E1000_STATUS);

	return status != GONE && status & E1000_STATUS_LU;
}

/* --- work --- */

bool e1000_open(struct e1000 *c, struct device *d)
{
	u32 id = device_config(d, 0, 4);

	*c = (struct e1000){.device = d};
	if (id != (INTEL_82540EM << 16 | INTEL_VENDOR) &&
		id != (INTEL_82574L << 16 | INTEL_VENDOR)) {
		device_log(
			d, "pci%04x,%04x is no card that this driver knows", id & 0xffff, id >> 16);
		return false;
	}
	c->express = id >> 16 == INTEL_82574L;
	c->msix = c->express && device_capability(d, PCI_CAP_MSIX, 0) != 0;
	c->registers = device_registers(d, 0, 0, E1000_REGS_LEAST);
	if (!c->registers) {
		device_log(d, "it has not the registers of an Intel Ethernet card");
		return false;
	}
	c->tx.desc = device_alloc(d, E1000_TX_DESCS * sizeof(*c->tx.desc), PAGE_SIZE, &c->tx.bus);
	c->rx.desc = device_alloc(d, E1000_RX_DESCS * sizeof(*c->rx.desc), PAGE_SIZE, &c->rx.bus);
	return c->tx.desc && c->rx.desc && e1000_stop(c) && find_mac(c);
}

/* The rings' registers: a reset sets the heads to 0, but not with every emulator. */
static void start_rings(struct e1000 *c)
{
	e1000_tx_init(&c->tx);
	e1000_rx_init(&c->rx);
	c->told_tx = 0;
	c->told_rx = 0;
	put(c, E1000_RDBAL, (u32)c->rx.bus);
	put(c, E1000_RDBAH, (u32)(c->rx.bus >> 32));
	put(c, E1000_RDLEN, E1000_RX_DESCS * sizeof(struct e1000_rx_desc));
	put(c, E1000_RDH, 0);
	put(c, E1000_RDT, 0);
	put(c, E1000_TDBAL, (u32)c->tx.bus);
	put(c, E1000_TDBAH, (u32)(c->tx.bus >> 32));
	put(c, E1000_TDLEN, E1000_TX_DESCS * sizeof(struct e1000_tx_desc));
	put(c, E1000_TDH, 0);
	put(c, E1000_TDT, 0);
}

/* What an 82574 has more: 7.4.2, and the steps of 4.6. */
static void start_express(const struct e1000 *c)
{
	put(c, E1000_TXDCTL, get(c, E1000_TXDCTL) | (u32)E1000_TXDCTL_82574);
	put(c, E1000_RFCTL, (u32)E1000_RFCTL_ACKDIS);
	put(c, E1000_EIAC, 0);
	put(c, E1000_IAM, 0);
	if (!c->msix)
		return;
	put(c, E1000_CTRL_EXT, get(c, E1000_CTRL_EXT) | (u32)E1000_CTRL_EXT_PBA);
	put(c, E1000_IVAR, E1000_IVAR_MESSAGE_0);
	put(c, E1000_EITR, INTERVAL);
}

void e1000_start(struct e1000 *c)
{
	u32 forced = E1000_CTRL_LRST | E1000_CTRL_ILOS | E1000_CTRL_FRCSPD | E1000_CTRL_FRCDPLX |
		     E1000_CTRL_RFCE | E1000_CTRL_TFCE | E1000_CTRL_VME | E1000_CTRL_PHY_RST |
		     E1000_CTRL_MASTER_DISABLE;
	const u8 *mac = c->mac;
	u32 ctrl = get(c, E1000_CTRL) & ~forced & ~(u32)E1000_CTRL_ASDE;

	put(c, E1000_CTRL, ctrl | (u32)(E1000_CTRL_SLU | (c->express ? 0 : E1000_CTRL_ASDE)));
	start_phy(c);
	put(c, E1000_RAL, mac[0] | (u32)mac[1] << 8 | (u32)mac[2] << 16 | (u32)mac[3] << 24);
	put(c, E1000_RAH, mac[4] | (u32)mac[5] << 8 | (u32)E1000_RAH_AV);
	start_rings(c);
	put(c, E1000_RDTR, 0);
	put(c, E1000_RADV, 0);
	put(c, E1000_TIDV, 0);
	put(c, E1000_RXCSUM, 0);
	put(c, E1000_ITR, INTERVAL);
	put(c, E1000_TIPG, c->express ? E1000_TIPG_82574 : E1000_TIPG_82540);
	if (c->express)
		start_express(c);
	put(c, E1000_TCTL,
		(get(c, E1000_TCTL) & ~E1000_TCTL_FIELDS) | E1000_TCTL_CT | E1000_TCTL_COLD |
			(u32)(E1000_TCTL_PSP | E1000_TCTL_EN));
	put(c, E1000_IMS,
		(u32)(c->msix ? E1000_INT_RXQ0 | E1000_INT_TXQ0 | E1000_INT_OTHER | E1000_INT_LSC
			      : E1000_INT_TXDW | E1000_INT_RXT0 | E1000_INT_LSC));
}

/* The receiver is enabled with the first buffers: that equal indices are an empty ring is not so
 * from the beginning in every emulator. For the same reason no tail is told twice. */
void e1000_kick(struct e1000 *c)
{
	if (c->told_tx != c->tx.tail)
		put(c, E1000_TDT, c->told_tx = c->tx.tail);
	if (c->told_rx == c->rx.tail)
		return;
	put(c, E1000_RDT, c->told_rx = c->rx.tail);
	if (!c->receives)
		put(c, E1000_RCTL,
			(u32)(E1000_RCTL_EN | E1000_RCTL_UPE | E1000_RCTL_MPE | E1000_RCTL_BAM |
				E1000_RCTL_SECRC));
	c->receives = true;
}

/* Reading drops them only without MSI-X (82574 10.2.4.1). */
u32 e1000_causes(struct e1000 *c)
{
	u32 causes = get(c, E1000_ICR);

	if (causes != 0 && causes != GONE)
		put(c, E1000_ICR, causes);
	return causes;
}
