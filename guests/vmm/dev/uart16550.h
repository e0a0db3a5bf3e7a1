/*
 * 16550A serial port.
 *
 * National Semiconductor PC16550D datasheet.
 * The line has no speed of its own: a byte is sent as soon as the backend takes it. While the
 * backend takes none, bytes wait in the transmit FIFO with THRE clear; a byte that the guest wrote
 * while THRE was set is never lost, not even by a FIFO reset.
 */
#pragma once

#include "guests/vmm/dev/device.h"

#define UART_MAGIC        DEVICE_MAGIC('U', 'A', 'R', 'T')
#define UART_VERSION      1
#define UART_FIFO         16
#define UART_PORTS        8
#define UART_CLOCK        115200u /* bits a second with divisor 1 */
#define UART_DIVISOR_9600 12u     /* after reset, where the datasheet leaves it open */

enum uart_register {   /* offsets from the base */
	UART_DATA = 0, /* RBR, THR; divisor low with DLAB */
	UART_IER = 1,  /* divisor high with DLAB */
	UART_IIR = 2,  /* read */
	UART_FCR = 2,  /* write */
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_MSR = 6,
	UART_SCR = 7,
};

#define UART_IER_RDA      0x01u
#define UART_IER_THRE     0x02u
#define UART_IER_LSR      0x04u
#define UART_IER_MSR      0x08u
#define UART_IER_MASK     0x0fu
#define UART_IIR_NONE     0x01u
#define UART_IIR_MSR      0x00u
#define UART_IIR_THRE     0x02u
#define UART_IIR_RDA      0x04u
#define UART_IIR_LSR      0x06u
#define UART_IIR_TIMEOUT  0x0cu
#define UART_IIR_FIFO     0xc0u
#define UART_FCR_ENABLE   0x01u
#define UART_FCR_CLEAR_RX 0x02u
#define UART_FCR_CLEAR_TX 0x04u
#define UART_FCR_TRIGGER  0xc0u
#define UART_FCR_SHIFT    6
#define UART_FCR_KEPT     0xc9u
#define UART_LCR_STOP     0x04u
#define UART_LCR_LENGTH   0x03u
#define UART_LCR_PARITY   0x08u
#define UART_LCR_BREAK    0x40u
#define UART_LCR_DLAB     0x80u
#define UART_MCR_DTR      0x01u
#define UART_MCR_RTS      0x02u
#define UART_MCR_OUT1     0x04u
#define UART_MCR_OUT2     0x08u
#define UART_MCR_LOOP     0x10u
#define UART_MCR_MASK     0x1fu
#define UART_LSR_DR       0x01u
#define UART_LSR_OE       0x02u
#define UART_LSR_PE       0x04u
#define UART_LSR_FE       0x08u
#define UART_LSR_BI       0x10u
#define UART_LSR_THRE     0x20u
#define UART_LSR_TEMT     0x40u
#define UART_MSR_DCTS     0x01u
#define UART_MSR_DDSR     0x02u
#define UART_MSR_TERI     0x04u
#define UART_MSR_DDCD     0x08u
#define UART_MSR_CTS      0x10u
#define UART_MSR_DSR      0x20u
#define UART_MSR_RI       0x40u
#define UART_MSR_DCD      0x80u

struct uart_fifo {
	u8 data[UART_FIFO];
	u8 first; /* 0-15 */
	u8 count; /* 0-16 */
	u8 reserved[6];
};

struct uart {
	struct device_header header;
	struct uart_fifo receive;
	struct uart_fifo transmit;
	u16 base; /* first port */
	u16 divisor;
	u8 line; /* interrupt line */
	u8 ier;
	u8 fcr;
	u8 lcr;
	u8 mcr;
	u8 scr;
	u8 overrun;     /* LSR.OE */
	u8 delta;       /* MSR bits 3:0 */
	u8 thre_latch;  /* the THRE interrupt is pending */
	u8 timeout;     /* bytes wait below the trigger level, and time is up */
	u8 level;       /* what the line was last set to */
	u8 break_latch; /* LSR.BI, for loopback */
};
DEVICE_STATE(struct uart);

void uart_init(struct uart *s, u16 base, u8 line);
void uart_reset(struct machine *m, struct uart *s);
u32 uart_read(struct machine *m, struct uart *s, u16 port, unsigned size);
void uart_write(struct machine *m, struct uart *s, u16 port, unsigned size, u32 value);
void uart_timer(struct machine *m, struct uart *s);

/* Whether uart_receive would take a byte without an overrun. False in loopback mode. */
bool uart_can_receive(const struct uart *s);

/* A byte comes in on the line. Lost, as on hardware, in loopback mode; an overrun when full. */
void uart_receive(struct machine *m, struct uart *s, u8 byte);

/* The backend has room again: sends what waits, as far as it is taken. */
void uart_backend_ready(struct machine *m, struct uart *s);

/* Whether bytes wait for the backend. */
bool uart_waiting(const struct uart *s);
