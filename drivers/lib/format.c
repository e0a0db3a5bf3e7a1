/* Text formatting: the part of printf that programs need. */
#include "drivers/lib/lib.h"

struct output {
	char *to;
	size_t size;
	size_t length; /* of the whole text, whether or not it fitted */
};

/* One conversion specification. */
struct spec {
	bool left;
	bool zero;
	bool alternate;
	char sign; /* what stands before a positive number, or 0 */
	int width;
	int precision; /* -1: none */
	int longs;     /* number of l; z counts as 2 */
};

static void put(struct output *o, char c)
{
	if (o->length + 1 < o->size)
		o->to[o->length] = c;
	o->length++;
}

static void pad(struct output *o, char c, int count)
{
	while (count-- > 0)
		put(o, c);
}

static void put_string(struct output *o, const struct spec *s, const char *text)
{
	size_t n;

	if (!text)
		text = "(null)";
	n = strnlen(text, s->precision >= 0 ? (size_t)s->precision : SIZE_MAX);
	if (!s->left)
		pad(o, ' ', s->width - (int)n);
	for (size_t i = 0; i < n; i++)
		put(o, text[i]);
	if (s->left)
		pad(o, ' ', s->width - (int)n);
}

static void put_number(
	struct output *o, const struct spec *s, u64 value, unsigned base, char sign, bool upper)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	const char *prefix = s->alternate && base == 16 && value ? (upper ? "0X" : "0x") : "";
	char text[24];
	int n = 0;
	int zeros;
	int fill;

	for (u64 rest = value; rest; rest /= base)
		text[n++] = digits[rest % base];
	if (n == 0 && s->precision != 0)
		text[n++] = '0';
	zeros = s->precision > n ? s->precision - n : 0;
	fill = s->width - n - zeros - (sign ? 1 : 0) - (prefix[0] ? 2 : 0);
	if (s->zero && !s->left && s->precision < 0 && fill > 0) {
		zeros = fill;
		fill = 0;
	}
	if (!s->left)
		pad(o, ' ', fill);
	if (sign)
		put(o, sign);
	for (; *prefix; prefix++)
		put(o, *prefix);
	pad(o, '0', zeros);
	while (n > 0)
		put(o, text[--n]);
	if (s->left)
		pad(o, ' ', fill);
}

static void put_signed(struct output *o, const struct spec *s, s64 value)
{
	if (value < 0)
		put_number(o, s, 0 - (u64)value, 10, '-', false);
	else
		put_number(o, s, (u64)value, 10, s->sign, false);
}

static const char *parse_flags(struct spec *s, const char *at)
{
	for (;; at++) {
		if (*at == '-')
			s->left = true;
		else if (*at == '0')
			s->zero = true;
		else if (*at == '#')
			s->alternate = true;
		else if (*at == ' ' || *at == '+')
			s->sign = *at;
		else
			return at;
	}
}

static const char *parse_digits(const char *at, int *number)
{
	for (*number = 0; *at >= '0' && *at <= '9'; at++) {
		if (*number < 10000)
			*number = *number * 10 + (*at - '0');
	}
	return at;
}

int format_list(char *to, size_t size, const char *text, va_list args)
{
	struct output o = {to, size, 0};

	for (const char *at = text; *at; at++) {
		struct spec s = {.precision = -1};
		const char *start = at;

		if (*at != '%') {
			put(&o, *at);
			continue;
		}
		at = parse_flags(&s, at + 1);
		if (*at == '*') {
			s.width = va_arg(args, int);
			at++;
		} else {
			at = parse_digits(at, &s.width);
		}
		if (*at == '.' && at[1] == '*') {
			s.precision = va_arg(args, int);
			at += 2;
		} else if (*at == '.') {
			at = parse_digits(at + 1, &s.precision);
		}
		for (; *at == 'l' || *at == 'z'; at++)
			s.longs += *at == 'z' ? 2 : 1;
		switch (*at) {
		case '%':
			put(&o, '%');
			break;
		case 'c':
			put(&o, (char)va_arg(args, int));
			break;
		case 's':
			put_string(&o, &s, va_arg(args, const char *));
			break;
		case 'd':
		case 'i':
			put_signed(&o, &s, s.longs ? va_arg(args, long) : va_arg(args, int));
			break;
		case 'u':
		case 'x':
		case 'X':
			put_number(&o, &s, s.longs ? va_arg(args, u64) : va_arg(args, unsigned),
				*at == 'u' ? 10 : 16, 0, *at == 'X');
			break;
		case 'p':
			s.alternate = true;
			put_number(&o, &s, (u64)va_arg(args, void *), 16, 0, false);
			break;
		default:
			for (; start < at; start++)
				put(&o, *start);
			if (!*at)
				at--;
			else
				put(&o, *at);
		}
	}
	if (size > 0)
		to[o.length < size ? o.length : size - 1] = 0;
	return (int)o.length;
}

int format(char *to, size_t size, const char *text, ...)
{
	va_list args;
	int length;

	va_start(args, text);
	length = format_list(to, size, text, args);
	va_end(args);
	return length;
}
