/* Descriptors of USB devices: see descriptor.h. */
#include "drivers/xhci/descriptor.h"

#define CONFIG            2u
#define INTERFACE         4u
#define INTERFACE_BYTES   9u
#define ENDPOINT          5u
#define ENDPOINT_BYTES    7u
#define COMPANION         0x30u /* of SuperSpeed */
#define COMPANION_BYTES   6u
#define MASS_STORAGE      0x08u
#define SCSI              0x06u /* transparent command set */
#define BULK_ONLY         0x50u
#define TRANSFER_TYPE     3u
#define BULK              2u
#define ADDRESS_IN        0x80u
#define ADDRESS_NUMBER    0x0fu
#define PACKET_MASK       0x7ffu
#define PACKET_SUPER      1024u
#define PACKET_HIGH       512u
#define PACKET_FULL_LEAST 8u
#define PACKET_FULL_MOST  64u
#define BURST_MOST        15u

static bool packet_ok(u32 packet, bool super)
{
	if (super)
		return packet == PACKET_SUPER;
	return packet == PACKET_HIGH ||
	       (packet >= PACKET_FULL_LEAST && packet <= PACKET_FULL_MOST &&
		       !(packet & (packet - 1)));
}

static bool is_storage(const u8 *d, u32 length)
{
	return length >= INTERFACE_BYTES && d[3] == 0 && d[5] == MASS_STORAGE && d[6] == SCSI &&
	       d[7] == BULK_ONLY;
}

/* The first bulk endpoint of each direction counts. */
static struct usb_bulk *take_endpoint(struct usb_storage *s, const u8 *d, u32 length, bool super)
{
	struct usb_bulk *e;
	u32 packet;

	if (length < ENDPOINT_BYTES || (d[3] & TRANSFER_TYPE) != BULK || !(d[2] & ADDRESS_NUMBER))
		return NULL;
	e = d[2] & ADDRESS_IN ? &s->in : &s->out;
	packet = (d[4] | (u32)d[5] << 8) & PACKET_MASK;
	if (e->address || e->packet || !packet_ok(packet, super))
		return NULL;
	*e = (struct usb_bulk){
		.address = d[2] & (ADDRESS_IN | ADDRESS_NUMBER), .packet = (u16)packet};
	return e;
}

bool usb_find_storage(const u8 *config, u32 size, bool super, struct usb_storage *out)
{
	struct usb_bulk *last = NULL; /* that a companion would belong to */
	bool ours = false;

	if (size < USB_CONFIG_BYTES || config[0] < USB_CONFIG_BYTES || config[1] != CONFIG)
		return false;
	for (u32 at = config[0]; at + 2 <= size && config[at] >= 2 && config[at] <= size - at;
		at += config[at]) {
		const u8 *d = config + at;

		if (d[1] == INTERFACE) {
			if (ours)
				break;
			ours = is_storage(d, d[0]);
			*out = (struct usb_storage){.configuration = config[5], .interface = d[2]};
			last = NULL;
		} else if (ours && d[1] == ENDPOINT) {
			last = take_endpoint(out, d, d[0], super);
		} else if (last && super && d[1] == COMPANION && d[0] >= COMPANION_BYTES) {
			last->burst = d[2] <= BURST_MOST ? d[2] : BURST_MOST;
			last = NULL;
		}
	}
	return ours && out->in.packet && out->out.packet && out->configuration;
}
