/* SPDX-License-Identifier: ISC
 *
 * Runs a fuzz target over files instead of under a fuzzer, so that `make check` replays every seed
 * and every past finding with any compiler. Arguments are files; each is given whole.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (!f) {
		perror(path);
		return -1;
	}
	size_t len = 0, cap = 65536;
	uint8_t *data = malloc(cap);
	for (size_t n; data && (n = fread(data + len, 1, cap - len, f)) > 0;) {
		len += n;
		if (len == cap)
			data = realloc(data, cap *= 2);
	}
	fclose(f);
	if (!data)
		return -1;
	/* An exact allocation lets AddressSanitizer see a read past the end. */
	uint8_t *exact = realloc(data, len ? len : 1);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	int bad = 0;
	for (int i = 1; i < argc; i++)
		bad |= replay_file(argv[i]);
	return bad ? 1 : 0;
}
