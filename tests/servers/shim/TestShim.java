package testshim;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.email.UAX29URLEmailTokenizer;
import org.apache.lucene.analysis.miscellaneous.RemoveDuplicatesTokenFilter;
import org.apache.lucene.analysis.pattern.PatternCaptureGroupTokenFilter;
import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.metadata.IndexNameExpressionResolver;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.IndexScopedSettings;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.settings.SettingsFilter;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.index.analysis.AbstractTokenFilterFactory;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestController;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.xcontent.XContentBuilder;

/**
 * Puts back what the cut-down distribution lacks: an answer to GET /, and the analysis parts that the hidden
 * `.security` index (users, API keys) is made with. Its GET / is no evidence of what a full server says there.
 */
public class TestShim extends Plugin implements ActionPlugin, AnalysisPlugin {

  @Override
  public Collection<RestHandler> getRestHandlers(
      Settings settings, NamedWriteableRegistry registry, RestController controller, ClusterSettings cluster,
      IndexScopedSettings scoped, SettingsFilter filter, IndexNameExpressionResolver resolver,
      Supplier<DiscoveryNodes> nodes, Predicate<NodeFeature> features) {
    return List.of(new Root(settings.get("node.name", "node"), settings.get("cluster.name", "elasticsearch")));
  }

  private static final class Root extends BaseRestHandler {
    private final String node;
    private final String cluster;

    Root(String node, String cluster) {
      this.node = node;
      this.cluster = cluster;
    }

    @Override
    public String getName() {
      return "testshim_root";
    }

    @Override
    public List<Route> routes() {
      return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
    }

    @Override
    protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
      return channel -> {
        XContentBuilder answer = channel.newBuilder().startObject()
            .field("name", node).field("cluster_name", cluster)
            .startObject("version")
            .field("number", Build.current().version()).field("build_flavor", "default")
            .endObject()
            .field("tagline", "You Know, for Search").endObject();
        channel.sendResponse(new RestResponse(RestStatus.OK, answer));
      };
    }
  }

  @Override
  public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
    AnalysisProvider<TokenFilterFactory> capture = (index, environment, name, settings) -> {
      Pattern[] patterns = settings.getAsList("patterns").stream().map(Pattern::compile).toArray(Pattern[]::new);
      return new AbstractTokenFilterFactory(name) {
        @Override
        public TokenStream create(TokenStream stream) {
          return new PatternCaptureGroupTokenFilter(stream, true, patterns);
        }
      };
    };
    AnalysisProvider<TokenFilterFactory> unique = (index, environment, name, settings) ->
        new AbstractTokenFilterFactory(name) {
          @Override
          public TokenStream create(TokenStream stream) {
            return new RemoveDuplicatesTokenFilter(stream);
          }
        };
    return Map.of("pattern_capture", AnalysisPlugin.requiresAnalysisSettings(capture), "unique", unique);
  }

  @Override
  public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
    return Map.of("uax_url_email", (index, environment, name, settings) ->
        TokenizerFactory.newFactory(name, UAX29URLEmailTokenizer::new));
  }
}
