/* Registers of the 16550 (National Semiconductor PC16550D, 8.0). Offsets from the first port. */
#pragma once

#define UART_RBR 0 /* read: receiver buffer */
#define UART_THR 0 /* write: transmitter holding */
#define UART_DLL 0 /* with LCR_DLAB: divisor, low */
#define UART_DLM 1 /* with LCR_DLAB: divisor, high */
#define UART_IER 1
#define UART_IIR 2 /* read */
#define UART_FCR 2 /* write */
#define UART_LCR 3
#define UART_MCR 4
#define UART_LSR 5
#define UART_MSR 6
#define UART_SCR 7

#define IER_RX   0x01 /* received data available, or character time-out */
#define IER_TX   0x02 /* transmitter holding register empty */
#define IER_LINE 0x04 /* receiver line status */

#define IIR_NONE      0x01 /* no interrupt is pending */
#define IIR_FIFO_MASK 0xc0 /* both set: 16550A FIFOs work */

#define FCR_ENABLE    0x01
#define FCR_CLEAR_RX  0x02
#define FCR_CLEAR_TX  0x04
#define FCR_TRIGGER_8 0x80

#define LCR_8N1  0x03
#define LCR_DLAB 0x80

#define MCR_DTR  0x01
#define MCR_RTS  0x02
#define MCR_OUT2 0x08 /* gates the interrupt line on a PC */

#define LSR_DR   0x01 /* data ready */
#define LSR_THRE 0x20 /* transmitter holding register (or its FIFO) empty */
#define LSR_NONE 0xff /* what an absent port reads */

#define UART_FIFO_SIZE    16
#define UART_DIVISOR_115K 1 /* 1.8432 MHz / (16 * 115200) */
