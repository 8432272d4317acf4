import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Consumer;

import org.eclipse.californium.core.CoapClient;
import org.eclipse.californium.core.CoapResponse;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.core.network.CoapEndpoint;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.scandium.DTLSConnector;
import org.eclipse.californium.scandium.config.DtlsConfig;
import org.eclipse.californium.scandium.config.DtlsConnectorConfig;
import org.eclipse.californium.scandium.dtls.CertificateType;
import org.eclipse.californium.scandium.dtls.pskstore.AdvancedSinglePskStore;
import org.eclipse.californium.scandium.dtls.x509.SingleCertificateProvider;
import org.eclipse.californium.scandium.dtls.x509.StaticNewAdvancedCertificateVerifier;
import org.eclipse.leshan.client.LeshanClient;
import org.eclipse.leshan.client.LeshanClientBuilder;
import org.eclipse.leshan.client.californium.endpoint.CaliforniumClientEndpointsProvider;
import org.eclipse.leshan.client.californium.endpoint.coap.CoapClientProtocolProvider;
import org.eclipse.leshan.client.californium.endpoint.coaps.CoapsClientProtocolProvider;
import org.eclipse.leshan.client.object.Security;
import org.eclipse.leshan.client.object.Server;
import org.eclipse.leshan.client.resource.BaseInstanceEnabler;
import org.eclipse.leshan.client.resource.ObjectsInitializer;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.LwM2mId;
import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.StaticModel;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.request.argument.Arguments;
import org.eclipse.leshan.core.response.ExecuteResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.core.response.WriteResponse;

/**
 * A device on Leshan's client library, plain, with a pre-shared key or with a
 * certificate. Leshan's demo takes no firmware to itself, so object 5 is here. An
 * image begins with a line of title and version, as firmware knows its own name.
 */
public final class Device {
    static final int IDLE = 0, DOWNLOADING = 1, DOWNLOADED = 2, UPDATING = 3;
    static final int FIRMWARE = 5, LARGEST = 16 << 20;

    /** How the device proves itself, and as whom. */
    static final class Secret {
        String endpoint, identity;
        byte[] key;
        X509Certificate own, server;
        java.security.PrivateKey ownKey;

        Secret(String words) throws Exception {
            String[] w = words.split(":");
            endpoint = w[0];
            if (w[0].equals("psk")) {
                endpoint = identity = w[1];
                key = w[2].getBytes(StandardCharsets.US_ASCII);
            } else if (w[0].equals("x509")) {
                own = certificate(w[1]);
                ownKey = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(pem(w[2])));
                server = certificate(w[3]);
                endpoint = own.getSubjectX500Principal().getName().substring("CN=".length());
            }
        }

        static X509Certificate certificate(String file) throws Exception {
            return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(pem(file)));
        }

        static byte[] pem(String file) throws Exception {
            return Base64.getMimeDecoder().decode(Files.readString(Path.of(file)).replaceAll("-----.*-----", ""));
        }

        Security security(String address) throws Exception {
            if (identity != null) return Security.psk(address, 123, identity.getBytes(StandardCharsets.UTF_8), key);
            if (own != null) return Security.x509(address, 123, own.getEncoded(), ownKey.getEncoded(), server.getEncoded());
            return Security.noSec(address, 123);
        }
    }

    /** Object 5. What it has to tell beyond its resources, a whole image and Execute, it hands out. */
    public static final class Firmware extends BaseInstanceEnabler {
        final String title, version;
        final long delivery;
        final ExecutorService work = Executors.newSingleThreadExecutor();
        Consumer<String> fetch;
        Runnable update;
        byte[] image;
        long state = IDLE, result;

        /** Leshan wants one, for servers that create instances. */
        public Firmware() {
            this("", "", 1, 0);
        }

        Firmware(String title, String version, long delivery, long result) {
            this.title = title;
            this.version = version;
            this.delivery = delivery;
            this.result = result;
        }

        void say(long state, long result) {
            System.out.println("state " + state + ", result " + result);
            boolean news = result != this.result;
            this.state = state;
            this.result = result;
            fireResourceChange(3);
            if (news) fireResourceChange(5);
        }

        @Override
        public synchronized ReadResponse read(LwM2mServer server, int resource) {
            switch (resource) {
                case 3: return ReadResponse.success(resource, state);
                case 5: return ReadResponse.success(resource, result);
                case 6: return ReadResponse.success(resource, title);
                case 7: return ReadResponse.success(resource, version);
                case 9: return ReadResponse.success(resource, delivery);
                default: return super.read(server, resource);
            }
        }

        @Override
        public synchronized WriteResponse write(LwM2mServer server, boolean replace, int resource, LwM2mResource value) {
            if (resource == 0 && ((byte[]) value.getValue()).length > 1) {
                byte[] got = (byte[]) value.getValue();
                work.execute(() -> {
                    say(DOWNLOADING, 0);
                    got(got);
                });
                return WriteResponse.success();
            }
            if (resource == 1 && !((String) value.getValue()).isEmpty()) {
                String uri = (String) value.getValue();
                work.execute(() -> fetch.accept(uri));
                return WriteResponse.success();
            }
            if (resource == 0 || resource == 1) { // nothing, or a single zero: away with what was fetched
                image = null;
                work.execute(() -> say(IDLE, 0));
                return WriteResponse.success();
            }
            return super.write(server, replace, resource, value);
        }

        synchronized void got(byte[] whole) {
            image = whole;
            say(DOWNLOADED, 0);
        }

        @Override
        public synchronized ExecuteResponse execute(LwM2mServer server, int resource, Arguments arguments) {
            if (resource != 2) return super.execute(server, resource, arguments);
            if (state != DOWNLOADED) return ExecuteResponse.badRequest("nothing was downloaded");
            work.execute(() -> {
                say(UPDATING, 0);
                update.run();
            });
            return ExecuteResponse.success();
        }

        @Override
        public List<Integer> getAvailableResourceIds(ObjectModel model) {
            return new ArrayList<>(List.of(0, 1, 2, 3, 5, 6, 7, 9));
        }
    }

    final String address;
    final Secret secret;
    final int chunk;
    final Path image;
    final long delivery;

    Device(String address, Secret secret, int chunk, Path image, long delivery) {
        this.address = address;
        this.secret = secret;
        this.chunk = chunk;
        this.image = image;
        this.delivery = delivery;
    }

    /** Starts the device with the firmware that it has, which says how it came to be. */
    void boot(String title, String version, long result) throws Exception {
        Firmware firmware = new Firmware(title, version, delivery, result);
        ObjectsInitializer objects = new ObjectsInitializer(new StaticModel(ObjectLoader.loadDefault()));
        objects.setInstancesForObject(LwM2mId.SECURITY, secret.security(address));
        objects.setInstancesForObject(LwM2mId.SERVER, new Server(123, 300));
        objects.setInstancesForObject(LwM2mId.DEVICE, new org.eclipse.leshan.client.object.Device("Windlass", "interop", secret.endpoint));
        objects.setInstancesForObject(FIRMWARE, firmware);

        CaliforniumClientEndpointsProvider.Builder endpoints =
                new CaliforniumClientEndpointsProvider.Builder(new CoapClientProtocolProvider(), new CoapsClientProtocolProvider());
        endpoints.setConfiguration(configure(endpoints.createDefaultConfiguration()));
        endpoints.setClientAddress(InetAddress.getByName("127.0.0.1"));
        LeshanClient client = new LeshanClientBuilder(secret.endpoint)
                .setObjects(objects.createAll()).setEndpointsProviders(endpoints.build()).build();

        firmware.fetch = (uri) -> fetch(firmware, uri);
        firmware.update = () -> reboot(firmware, client);
        client.start();
    }

    /** Without the first, Californium takes no body above 8 KiB. */
    Configuration configure(Configuration c) {
        c.set(CoapConfig.MAX_RESOURCE_BODY_SIZE, LARGEST);
        if (chunk > 0) {
            c.set(CoapConfig.PREFERRED_BLOCK_SIZE, chunk);
            c.set(CoapConfig.MAX_MESSAGE_SIZE, chunk);
        }
        return c;
    }

    void fetch(Firmware firmware, String uri) {
        System.out.println("fetching " + uri);
        firmware.say(DOWNLOADING, 0);
        CoapEndpoint.Builder endpoint = new CoapEndpoint.Builder();
        Configuration configuration = configure(new Configuration());
        endpoint.setConfiguration(configuration);
        if (uri.startsWith("coaps:")) endpoint.setConnector(dtls(configuration));
        CoapClient client = new CoapClient(uri).setEndpoint(endpoint.build()).setTimeout(60_000L);
        try {
            CoapResponse answer = client.get();
            if (answer == null || !answer.isSuccess()) throw new IllegalStateException(answer == null ? "no answer" : answer.getCode().toString());
            firmware.got(answer.getPayload());
        } catch (Exception e) {
            e.printStackTrace();
            firmware.say(IDLE, 4); // the connection was lost
        } finally {
            client.shutdown();
        }
    }

    DTLSConnector dtls(Configuration configuration) {
        configuration.set(DtlsConfig.DTLS_ROLE, DtlsConfig.DtlsRole.CLIENT_ONLY);
        DtlsConnectorConfig.Builder c = DtlsConnectorConfig.builder(configuration);
        c.setAddress(new InetSocketAddress("127.0.0.1", 0));
        if (secret.identity != null) {
            c.setAdvancedPskStore(new AdvancedSinglePskStore(secret.identity, secret.key));
        } else {
            c.setCertificateIdentityProvider(new SingleCertificateProvider(secret.ownKey, new X509Certificate[] {secret.own}, CertificateType.X_509));
            c.setAdvancedCertificateVerifier(StaticNewAdvancedCertificateVerifier.builder().setTrustedCertificates(secret.server).build());
        }
        return new DTLSConnector(c.build());
    }

    /** Writes the image, and comes back as what its first line says. */
    void reboot(Firmware firmware, LeshanClient client) {
        try {
            Files.write(image, firmware.image);
            Thread.sleep(300); // the server has heard of the state by then
            client.destroy(false);
            ByteArrayOutputStream line = new ByteArrayOutputStream();
            for (int i = 0; firmware.image[i] != '\n'; i++) line.write(firmware.image[i]);
            String[] named = line.toString(StandardCharsets.UTF_8).split(" ");
            boot(named[0], named[1], 1);
        } catch (Exception e) {
            e.printStackTrace();
            System.exit(1);
        }
    }

    public static void main(String[] a) throws Exception {
        new Device(a[0], new Secret(a[1]), Integer.parseInt(a[2]), Path.of(a[5]), a[6].equals("pull") ? 0 : 1).boot(a[3], a[4], 0);
    }
}
