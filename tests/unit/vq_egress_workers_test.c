/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/net/vq_egress.c: workers that send to one queue */
#include <pthread.h>

#include "egress_rig.h"

struct sender {
	struct rig *rig;
	uint8_t who;
	struct via_view view[8], *views[8];
	struct frame frame;
};

static void *send_many(void *arg)
{
	struct sender *s = arg;

	for (int round = 0; round < 100; round++)
		via_vq_egress(&s->rig->vq, &s->rig->net, s->views, 8, 0, false, &s->rig->stats);
	return NULL;
}

static void bursts_of_several_workers_do_not_mix(void **state)
{
	(void)state;
	RIG_FORMATS(format)
	{
		struct rig_config config = { .format = format,
					     .size = 2048,
					     .features = mergeable };
		static struct sender senders[2];
		uint32_t seen[2] = { 0 };
		struct via_net_hdr hdr;
		pthread_t threads[2];
		struct rig rig;

		rig_init(&rig, &config);
		for (uint32_t i = 0; i < 1600; i++)
			offer(&rig, i, 600, 600);
		for (uint8_t who = 0; who < 2; who++) {
			struct sender *s = &senders[who];

			*s = (struct sender){ .rig = &rig, .who = who };
			for (uint32_t i = 0; i < 8; i++) {
				frame_make(&s->frame, &(struct frame_shape){ .payload = 100 });
				frame_view(&s->view[i], &s->frame, NULL, 1000);
				s->view[i].snapshot[20] = (uint8_t)(who * 8 + i);
				s->views[i] = &s->view[i];
			}
			assert_int_equal(pthread_create(&threads[who], NULL, send_many, s), 0);
		}
		for (int who = 0; who < 2; who++)
			pthread_join(threads[who], NULL);
		for (uint32_t i = 0; i < 1600; i++) {
			uint32_t len = take_packet(&rig, i, &hdr), mark = got[20];

			assert_int_equal(len, 114);
			assert_int_equal(mark % 8, seen[mark / 8]++ % 8);
		}
		assert_int_equal(packets(&rig), 1600);
		rig_end(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bursts_of_several_workers_do_not_mix),
	};

	return cmocka_run_group_tests_name("vq_egress_workers", tests, NULL, NULL);
}
